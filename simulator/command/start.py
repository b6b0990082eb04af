"""Where a shell comes in: until everything is imported, Ctrl-C ends the process without a traceback.

`main` takes it up from there. Tests and notebooks, which import the command for themselves, keep the Ctrl-C they have.
"""

import gc
import signal

# Modules are made of objects that stay: to look for cycles among them after every 700 is a tenth of a short command.
gc.set_threshold(50_000, 20, 20)
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup's SIG_IGN stays
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from simulator.command.main import main as main  # noqa: E402 - behind what it is to find set

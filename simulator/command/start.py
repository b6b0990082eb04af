"""Where a shell comes in: until everything is imported, Ctrl-C ends the process without a traceback.

`main` takes it up from there. Tests and notebooks, which import the command for themselves, keep the Ctrl-C they have.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup's SIG_IGN stays
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from simulator.command.main import main as main

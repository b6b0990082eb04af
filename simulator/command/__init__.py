"""The command: it parses, calls and prints. What it calls is the library, or what an entry point names."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `main` is there, Ctrl-C ends the process without a traceback

"""The program killed at random moments, on full disks, and in poor places: `make crash`.

`python -m tests.crash [--seed N] [--part NAME]` prints what was tried, and whatever went otherwise than it should:

- `kills`: sweeps, trainings and `--force` runs are killed, then the same command is given again; what comes out is what
  a run gives that nobody disturbed.
- `disks`: every command that writes, with little room and with a full standard output.
- `places`: no HOME, no user, no locale, no memory, closed streams, Ctrl-C.
- `builds`: two processes compile one array at the same time.

`test_crash.py` has a few of them for `make test`.
"""

"""Where a virtual board may be served: on this machine only."""

from workloads.errors import UserError

LOOPBACK, LAST_PORT = ("127.0.0.1", "localhost"), 65535


def check_place(at: str) -> tuple[str, int] | None:
    """Where 'tcp ADDRESS:PORT' is; None for 'pty'. Raises UserError for another machine, or what is no address."""
    kind, _, address = at.partition(" ")
    if kind == "pty":
        return None
    host, _, port = address.rpartition(":")
    if host not in LOOPBACK or not port.isdecimal() or int(port) > LAST_PORT:
        raise UserError(f"--tcp: '{address}' is not possible; a virtual board listens at 127.0.0.1:PORT only")
    return LOOPBACK[0], int(port)

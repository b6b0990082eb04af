"""The ports of an AXI4 master with 64-bit data that has one transaction ID, and what of them never changes."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

BEAT_BYTES = 8
ADDRESS_BITS = 32
OKAY = 0
ADDRESS = {  # of AW and AR, as the standard names it
    "id": 1,
    "addr": ADDRESS_BITS,
    "len": 8,
    "size": 3,
    "burst": 2,
    "cache": 4,
    "prot": 3,
    "user": 1,
}
# bursts of 8 bytes a beat whose addresses rise; modifiable and bufferable; data, secure, unprivileged
ALWAYS = {"id": 0, "size": 3, "burst": 1, "cache": 3, "prot": 0}
GIVEN = {
    **{f"{channel}{name}": bits for channel in ("aw", "ar") for name, bits in ADDRESS.items()},
    "wdata": 8 * BEAT_BYTES,
    "wstrb": BEAT_BYTES,
    "wlast": 1,
}
TAKEN = {"bid": 1, "bresp": 2, "rid": 1, "rdata": 8 * BEAT_BYTES, "rresp": 2, "rlast": 1}


def master_ports(prefix: str) -> dict[str, wiring.Member]:
    """Members of a signature: an AXI4 master's ports, by their names with `prefix` before them."""
    ports: dict[str, wiring.Member] = {f"{prefix}{name}": Out(bits) for name, bits in GIVEN.items()}
    ports |= {f"{prefix}{name}": In(bits) for name, bits in TAKEN.items()}
    for channel, there, back in (("aw", Out, In), ("w", Out, In), ("ar", Out, In), ("b", In, Out), ("r", In, Out)):
        ports |= {f"{prefix}{channel}valid": there(1), f"{prefix}{channel}ready": back(1)}
    return ports

"""The registers of a core with its queues, as hardware, documents and hosts read them: words of 32 bits by address.

A word of a queue is written in parts of 32 bits, the lowest first; the write of the last part hands the word over. All
queues share what holds the parts before the last, so that one word is finished before another is begun.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import final

from amaranth import Shape
from amaranth.lib import stream
from amaranth.lib.data import Layout

from rtl.axi.registers import Register
from rtl.core.core import ENGINES, Core, CoreLayout
from rtl.core.feeding import QUEUES
from rtl.lanes import OPTIMIZERS
from workloads.errors import UserError

IDENTITY = 0x4E4D4331  # "NMC1" in ASCII: the n:m core
VERSION = 1  # of the layout of its registers
ADDRESS_BITS = 12  # of a byte
PART = 32
WAITS, WINDOWS, WINDOW = 0x100, 0x400, 0x80  # where counts of waits begin, and the queues, and bytes of a queue
BITS, FREE = 0x78, 0x7C  # within a queue
FORMATS = ("fp16", "bf16", "int8")
DEPTH = 64  # words of a queue
RESET, WAIT_FOR_B = range(2)  # bits of CONTROL
RUNNING, WAITING, BUS, LOST, QUIET = range(5)  # bits of STATUS
ID_NAME, CONTROL, STATUS, OPS, CYCLES, CYCLES_HIGH, OVERFLOW = (
    "ID", "CONTROL", "STATUS", "OPS", "CYCLES", "CYCLES_HIGH", "OVERFLOW",
)  # fmt: skip


@final
@dataclass(frozen=True)
class Queue:
    """A queue of a core: its number, the bits of a word, and what a word consists of."""

    name: str
    number: int
    shape: Layout | int

    @property
    def bits(self) -> int:
        return Shape.cast(self.shape).width

    @property
    def parts(self) -> int:
        """Words of 32 bits in which one of its words is written."""
        return -(-self.bits // PART)

    @property
    def address(self) -> int:
        """Of the first part."""
        return WINDOWS + self.number * WINDOW

    @property
    def free(self) -> int:
        """Of how many words it has room for."""
        return self.address + FREE

    def fields(self) -> list[tuple[str, int, int]]:
        """Name, lowest bit and bits of every field, those inside others after a dot."""
        return _fields("", self.shape, 0)


def _fields(name: str, shape: object, lowest: int) -> list[tuple[str, int, int]]:
    if not isinstance(shape, Layout):
        return [(name or "word", lowest, Shape.cast(shape).width)]  # type: ignore[arg-type]
    found = []
    for key, field in shape:
        found += _fields(f"{name}.{key}" if name else str(key), field.shape, lowest + field.offset)
    return found


@final
@dataclass(frozen=True)
class CoreMap:
    """The registers of a core whose queues hold `depth` words each, a power of two.

    Raises UserError for another depth, and for a core with more than the addresses have room for.
    """

    layout: CoreLayout
    depth: int = DEPTH

    def __post_init__(self) -> None:
        if self.depth < 4 or self.depth & self.depth - 1 or self.depth >> 16:
            raise UserError(f"--queue-depth: {self.depth} is not possible here; it must be a power of two, 4 to 32768")
        longest = max(queue.parts for queue in self.queues)
        if 4 * longest > BITS or WINDOWS + len(self.queues) * WINDOW > 1 << ADDRESS_BITS or self.waits > WINDOWS:
            raise UserError(f"core: {len(self.queues)} queues of up to {longest} parts are beyond its registers")

    @cached_property
    def queues(self) -> tuple[Queue, ...]:
        """In the order of their numbers, as the ports of `Core` have them."""
        core = Core(self.layout)
        core._MustUse__used = True  # type: ignore[attr-defined]  # it is asked for its ports alone
        ports = core.signature.members
        found = []
        for number, name in enumerate(QUEUES):
            signature = ports[name].signature
            assert isinstance(signature, stream.Signature)
            found.append(Queue(name, number, signature.members["payload"].shape))
        return tuple(found)

    @property
    def stride(self) -> int:
        """Counts of waits from those of one engine to those of the next."""
        return 1 << (self.layout.control.buffers - 1).bit_length()

    @property
    def waits(self) -> int:
        """The end of the counts of waits."""
        return WAITS + 4 * len(ENGINES) * self.stride

    @property
    def constants(self) -> dict[str, int]:
        """What never changes, by the name of its register."""
        shape, control = self.layout.shape, self.layout.control
        p = shape.array
        return {
            ID_NAME: IDENTITY,
            "VERSION": VERSION,
            "SIZE": p.rows | p.cols << 16,
            "ARRAY": p.m | p.weights << 8 | p.accumulators << 16 | FORMATS.index(p.format) << 24,
            "WEST": shape.west,
            "NORTH": shape.north,
            "OUTPUT": shape.output,
            "RAW": shape.raw,
            "UPDATES": shape.updates | OPTIMIZERS.index(self.layout.optimizer) << 16,
            "COUNTS": len(ENGINES) | control.buffers << 8 | len(QUEUES) << 16,
            "DEPTH": self.depth,
        }

    @cached_property
    def registers(self) -> tuple[Register, ...]:
        """All that have a name; those of queues and counts of waits are reckoned."""
        texts = (
            (ID_NAME, "R", f"0x{IDENTITY:08x}"),
            ("VERSION", "R", f"{VERSION}, of this table"),
            ("SIZE", "R", "bits 15:0 rows, 31:16 columns of PEs"),
            (
                "ARRAY",
                "R",
                "bits 7:0 the largest group m, 15:8 weights that a PE holds, 23:16 accumulators, "
                f"31:24 format ({', '.join(f'{at} {name}' for at, name in enumerate(FORMATS))})",
            ),
            ("WEST", "R", "words of 64 bits a row in the west memory"),
            ("NORTH", "R", "weights a column in the north memory"),
            ("OUTPUT", "R", "sums a column in the output memory"),
            ("RAW", "R", "words of 64 bits in the raw memory"),
            (
                "UPDATES",
                "R",
                "bits 15:0 rows of four weights in each memory of the update engine, 31:16 its optimizer "
                f"({', '.join(f'{at} {name}' for at, name in enumerate(('none', *OPTIMIZERS[1:])))})",
            ),
            ("COUNTS", "R", "bits 7:0 engines, 15:8 buffers, 23:16 queues"),
            ("DEPTH", "R", "words that a queue holds"),
            (
                CONTROL,
                "RW",
                "bit 0, which reads 0, forgets everything as a reset does, but for bit 1: "
                "a store ends when the memory has answered, which is so after a reset",
            ),
            (
                STATUS,
                "R",
                "bit 0 an op is carried out; 1 words wait in a queue; 2 a burst has not ended; 3 a word was lost; "
                "4 quiet: none of bits 0 to 2; bits 15:8 fault or 0, 23:16 why a run was refused or 0",
            ),
            (OPS, "R", "ops that are done"),
            (CYCLES, "R", "cycles in which an op was carried out, the lower half; the read keeps the upper one"),
            (CYCLES_HIGH, "R", "the upper half"),
            (OVERFLOW, "R", "a bit a queue: a word came while it was full, and was lost"),
        )
        return tuple(Register(name, 4 * at, access, text) for at, (name, access, text) in enumerate(texts))

    @cached_property
    def at(self) -> dict[str, int]:
        """The byte address of every register with a name."""
        return {each.name: each.address for each in self.registers}

    def wait(self, engine: int, buffer: int) -> int:
        """The byte address of a count of waits."""
        return WAITS + 4 * (engine * self.stride + buffer)

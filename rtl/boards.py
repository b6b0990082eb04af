"""The boards there are: what each is called, what its device has and what its tools are told. Needs no Amaranth."""

from dataclasses import dataclass, replace

from rtl.parameters import Parameters
from workloads.errors import UserError, unknown_name


class DoesNotFit(UserError):
    """An array with all that is around it is larger than the device."""


@dataclass(frozen=True)
class Board:
    """A board whose tools pip installs. `luts` the device has, of which `fill` can be used before routing gives up."""

    name: str
    title: str
    platform: str
    family: str
    place: tuple[str, ...]
    pack: tuple[str, str, str, str]  # tool, what the placer writes, its option, the bitstream
    constraints: tuple[str, str]  # file and the placer's option
    luts: int
    dsps: int
    formats: tuple[str, ...]
    depth: int  # words a row, weights and sums a column: what a block memory holds
    fill: float = 0.85

    @property
    def bitstream(self) -> str:
        """The name of its file in a user's folder: icebreaker.bin."""
        return f"{self.name}.{self.pack[-1].partition('.')[2]}"

    @property
    def synthesis(self) -> str:
        """Name of the synthesis script: multipliers are used where there are any."""
        return f"{self.family}-dsp" if self.family == "ice40" and self.dsps else self.family


_ECP5 = ("ecppack", "top.config", "--textcfg", "top.bit")
_ICE40 = ("icepack", "top.asc", "--asc", "top.bin")
ANY = ("fp16", "bf16", "int8")
BOARDS = {
    board.name: board
    for board in (
        Board(
            "ulx3s-85f", "ULX3S, Lattice ECP5 LFE5U-85F", "amaranth_boards.ulx3s:ULX3S_85F_Platform", "ecp5",
            ("--85k", "--package", "CABGA381", "--speed", "6", "--router", "router1"), _ECP5, ("top.lpf", "--lpf"),
            83640, 156, ANY, 512,
        ),
        Board(
            "ice40-hx8k", "iCE40-HX8K breakout board", "amaranth_boards.ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform",
            "ice40", ("--hx8k", "--package", "ct256"), _ICE40, ("top.pcf", "--pcf"),
            7680, 0, ("int8",), 256,
        ),
        Board(
            "icebreaker", "iCEBreaker, iCE40-UP5K", "amaranth_boards.icebreaker:ICEBreakerPlatform",
            "ice40", ("--up5k", "--package", "sg48"), _ICE40, ("top.pcf", "--pcf"),
            5280, 8, ("int8",), 256,
        ),
    )
}  # fmt: skip


def board_named(name: str) -> Board:
    """The board of that name. Raises UserError with the list and the nearest match."""
    if name not in BOARDS:
        raise unknown_name("board", name, [*BOARDS, "vcu1525"], "--board")
    return BOARDS[name]


def for_board(board: Board, p: Parameters) -> Parameters:
    """The same array with a board's memories. Raises UserError for a format the board is too small for."""
    if p.format not in board.formats:
        allowed = ", ".join(board.formats)
        raise UserError(f"--format: {board.name} is too small for {p.format} (it takes {allowed})")
    return replace(p, row_depth=board.depth, column_depth=board.depth, results=board.depth)

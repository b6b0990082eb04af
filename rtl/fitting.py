"""How large an array a board can hold: from the cells of its parts, and then as the placer says."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from rtl.area import cells_by_module, logic, total
from rtl.board import Built, build
from rtl.boards import Board, DoesNotFit
from rtl.lanes import Lanes
from rtl.link.linked import LinkedArray
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.synthesis import cells_of
from rtl.verilog import block_verilog, blocks_verilog
from workloads.errors import UserError


def build_largest(
    board: Board, first: Parameters, cols: int | None, show: Callable[[str], None], lanes: Lanes
) -> tuple[Parameters, Built]:
    """The largest array like `first` that fits, with so many columns: without them square, or a column less.

    How many cells placing takes more than synthesis says, only the placer knows. Raises DoesNotFit when none fits.
    """
    sizes = _sizes(largest_size(board, first, show), cols)
    for rows, columns in sizes[:-1]:
        with suppress(DoesNotFit):
            return build_shown(board, replace(first, rows=rows, cols=columns), show, lanes)
    return build_shown(board, replace(first, rows=sizes[-1][0], cols=sizes[-1][1]), show, lanes)


def build_shown(board: Board, p: Parameters, show: Callable[[str], None], lanes: Lanes) -> tuple[Parameters, Built]:
    """The array and what came of building it; `show` is told of each step. Raises UserError as `build` does."""
    return p, build(board, p, lambda step: show(f"{p.title} for {board.title}: {step}"), lanes)


def _sizes(side: int, cols: int | None) -> list[tuple[int, int]]:
    """Rows and columns to try, the largest first."""
    if cols is not None:
        return [(rows, cols) for rows in range(side, 0, -1)]
    return [(rows, fewer) for rows in range(side, 0, -1) for fewer in (rows, rows - 1) if fewer]


def largest_size(board: Board, p: Parameters, show: Callable[[str], None]) -> int:
    """Rows and columns of the largest square array that a board should hold.

    A small one with controller and link is synthesised; the PEs grow with the square of the side, all else with the
    side at most. Raises UserError when not even one PE fits.
    """
    show(f"{p.title}: how many PEs fit {board.title}")
    small = replace(p, rows=2, cols=2)
    whole = block_verilog(LinkedArray(small, board.queues[0], place=as_instance), "linked_array") + blocks_verilog(
        small
    )
    modules = cells_by_module(whole, "linked_array", board.synthesis)
    pe, every = (cells_of(total(modules, name)) for name in ("sparse_pe", "linked_array"))
    beside = (logic(every, board.family) - 4 * logic(pe, board.family)) / 2
    for side in range(16, 0, -1):
        cells = side * side * logic(pe, board.family) + side * beside
        if cells <= board.fill * board.luts and side * side * pe.dsps <= board.dsps:
            return side
    raise UserError(f"--board: {board.title} is too small for a PE of {p.title}")

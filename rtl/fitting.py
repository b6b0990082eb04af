"""How large an array a board can hold, from the cells of its parts."""

from collections.abc import Callable
from dataclasses import replace

from rtl.area import cells_by_module, logic, total
from rtl.board import Board
from rtl.link.linked import LinkedArray
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.synthesis import cells_of
from rtl.verilog import block_verilog, blocks_verilog
from workloads.errors import UserError


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

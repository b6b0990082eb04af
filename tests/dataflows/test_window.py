"""Touched elements against brute force: never too few, exact where the docstring says so."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.systolic.lowering import Window

small = st.integers(1, 7)


@settings(max_examples=300, deadline=None)
@given(st.tuples(small, small), st.tuples(small, small), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.data())
def test_touched_elements_against_brute_force(
    grid: tuple[int, int], extent: tuple[int, int], step: tuple[int, int], data: st.DataObject
) -> None:
    source = ((grid[0] - 1) * step[0] + extent[0], (grid[1] - 1) * step[1] + extent[1])
    window = Window(grid, source, extent, step)
    image = grid[0] * grid[1]
    positions = data.draw(st.integers(1, 2 * image))
    most = 0
    for start in range(0, 4 * image, positions):
        seen = set()
        for position in range(start, start + positions):
            row, col = divmod(position % image, grid[1])
            seen |= {
                (position // image, row * step[0] + i, col * step[1] + j)
                for i in range(extent[0])
                for j in range(extent[1])
            }
        most = max(most, len(seen))
    assert window.elements(positions) >= most
    if positions % image == 0:
        assert window.elements(positions) == most

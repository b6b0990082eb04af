"""Stride classes: those of a walk over every position, and no dearer for a large stride or kernel."""

import time
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from workloads.conv import ConvGeometry


@st.composite
def geometries(draw: st.DrawFn) -> ConvGeometry:
    pair = [tuple(draw(st.integers(low, high)) for _ in range(2)) for low, high in ((1, 5), (1, 6), (0, 3), (1, 12))]
    dilation = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return ConvGeometry(1, 1, pair[0], pair[1], pair[2], pair[3], dilation)  # type: ignore[arg-type]


@given(geometries())
def test_stride_classes_hold_every_position_that_a_tap_reaches(geometry: ConvGeometry) -> None:
    reached = 0
    walked = {}
    for high, wide in product(*(range(side) for side in geometry.input_size)):
        taps = [
            [
                tap
                for tap in range(geometry.kernel[axis])
                if not _offset(geometry, axis, at, tap) % geometry.stride[axis]
            ]
            for axis, at in ((0, high), (1, wide))
        ]
        reached += len(taps[0]) * len(taps[1])
        if taps[0] and taps[1]:
            first = (high % geometry.stride[0], wide % geometry.stride[1])
            walked[first] = (walked.get(first, (0,))[0] + 1, len(taps[0]) * len(taps[1]))
    classes = geometry.stride_classes()
    assert {each.first: (each.positions, each.taps) for each in classes} == walked
    assert [each.first for each in classes] == sorted(walked)
    assert geometry.reached == reached
    assert len(classes) <= geometry.most_stride_classes


def _offset(geometry: ConvGeometry, axis: int, position: int, tap: int) -> int:
    return position + geometry.padding[axis] - tap * geometry.dilation[axis]


def test_a_large_stride_or_kernel_costs_nothing() -> None:
    began = time.process_time()
    wide = ConvGeometry(8, 8, (3, 3), (5000, 5000), (0, 0), (20_000, 20_000))
    tall = ConvGeometry(1, 1, (2_000_000_000, 1), (1, 1), (0, 0), (2_000_000_000, 1))
    assert (len(wide.stride_classes()), wide.reached, tall.reached) == (9, 144, 2_000_000_000**2)
    assert "has 2,000,000,000 positions; 4,096 are taken" in tall.fault()
    assert time.process_time() - began < 1

"""What recording full-size models takes, shapes alone: CPU seconds, without importing torch."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.workloads.full_size import FULL_SIZE
from workloads.pattern import PatternMap
from workloads.recording.trace_module import trace_module
from workloads.recording.trace_request import Request, parse_inputs

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("model", FULL_SIZE)
def test_recording_shapes_of(benchmark: Callable[..., Any], model: str) -> None:
    target, sizes = FULL_SIZE[model]
    benchmark(trace_module, Request(target, tuple(parse_inputs([sizes])), PatternMap(), shapes_only=True))

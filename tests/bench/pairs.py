"""Work timed in pairs with other work, one after the other, so that what else runs disturbs both alike."""

import statistics
from collections.abc import Callable
from time import process_time
from typing import Any

Work = Callable[[], object]


def benchmark_beside(benchmark: Any, work: Work, other: Work, words: str, rounds: int) -> None:
    """Time some work with other work before each round, and note how many times the other's time it takes.

    words: what the other work is, as in "1.07 times dense (1.02 to 1.11)".
    """
    times: list[float] = []

    def first_the_other() -> None:
        began = process_time()
        other()
        times.append(process_time() - began)

    benchmark.pedantic(work, setup=first_the_other, rounds=rounds, warmup_rounds=1)
    pairs = zip(benchmark.stats.stats.data, times[1:], strict=True)
    ratios = sorted(mine / others for mine, others in pairs)
    spread = f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
    benchmark.extra_info["note"] = f"{statistics.median(ratios):.2f} times {words} {spread}"

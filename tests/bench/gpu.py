"""Dense and 2:4 work on the GPU that is there: `python -m tests.bench.gpu [--out FILE]`, with torch alone.

Products, pruning with compression, linear layers and MLPs (forward + backward), and training steps of a transformer
block: the shapes of the published rows first. Weights are pruned and compressed every step, for both directions, by
torch's own kernel; a gradient passes straight through. Writes rows as `reports/published/gpu_measured.csv` has them;
those of a card that is new there need a line in `CARDS` of `reports.checks.gpu_measured`. Takes less than four minutes:
what has not begun after `LIMIT_S` is left out. Without a GPU it ends in a sentence, with code 2.
"""

import argparse
import csv
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch.nn import functional as F

PUBLISHED = Path(__file__).parents[2] / "reports" / "published" / "gpu_measured.csv"
COLUMNS = ("card", "what", "kind", "rows", "inner", "cols", "precision", "dense_ms", "sparse_ms", "ratio", "provenance",
           "source")  # fmt: skip
OWN = (("product", 1024, 1024, 1024), ("product", 8192, 8192, 8192), ("product", 16384, 1024, 4096),
       ("pruning", 4096, 0, 1024), ("linear", 16384, 4096, 4096), ("block", 16384, 1024, 4096))  # fmt: skip
SEQUENCE = 1024  # tokens of a sequence of a block
HEAD = 64  # channels of a head
LIMIT_S = 200.0
WARM_UPS, LEAST, MOST = 3, 5, 100  # runs before, and runs that are timed
ENOUGH_MS = 500.0  # of timed runs of one work

Tensor = torch.Tensor
Work = Callable[[], object]
Layer = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # input, weight, bias


@dataclass(frozen=True)
class Case:
    """What is timed: rows x inner by inner x cols, or what `kind` makes of these sizes."""

    kind: str
    rows: int
    inner: int
    cols: int

    @property
    def what(self) -> str:
        sizes = f"({self.rows}, {self.inner}, {self.cols})"
        return {
            "product": f"one product {sizes}",
            "pruning": f"pruning and compressing ({self.rows}, {self.cols}) for both directions",
            "linear": f"linear layer {sizes}, forward + backward, 2:4 weights",
            "mlp": f"MLP ({self.rows}, {self.inner}, {self.cols}, {self.inner}), forward + backward, 2:4 weights",
            "block": f"training step of a transformer block {sizes}, sequences of {SEQUENCE}, 2:4 MLP",
        }[self.kind]


@dataclass(frozen=True)
class Device:
    """Where it runs and by what. `time`: milliseconds of some work. `compress`: a weight that is 2:4 already, packed.

    `prune`: any weight made 2:4 in both directions, and packed for both.
    """

    name: str
    card: str
    source: str
    time: Callable[[Work], float]
    compress: Callable[[Tensor], Tensor]
    prune: Callable[[Tensor], Tensor]

    def randn(self, *sizes: int, grad: bool = False) -> Tensor:
        return torch.randn(sizes, device=self.name, dtype=torch.half, requires_grad=grad)


class Pruned(torch.autograd.Function):
    """A linear layer whose weight is pruned on the way in; the weight gets its whole gradient."""

    @staticmethod
    def forward(ctx, given, weight, bias, prune):  # type: ignore[no-untyped-def]
        ctx.sparse, ctx.biased = prune(weight), bias is not None
        ctx.save_for_backward(given)
        return F.linear(given, ctx.sparse, bias)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (given,) = ctx.saved_tensors
        return gradient @ ctx.sparse, gradient.t() @ given, gradient.sum(0) if ctx.biased else None, None


def published_cases() -> list[Case]:
    """The published rows that can be run here."""
    with PUBLISHED.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] in WORKS]
    return [Case(row["kind"], int(row["rows"]), int(row["inner"] or 0), int(row["cols"])) for row in rows]


def measured(
    cases: Sequence[Case], device: Device, limit_s: float, show: Callable[[str], None]
) -> Iterator[dict[str, object]]:
    """A row a case. What a card cannot do, or has no memory for, is left empty, and the source says why."""
    began = time.monotonic()
    for number, case in enumerate(cases, 1):
        if time.monotonic() - began > limit_s:
            show(f"{len(cases) - number + 1} of {len(cases)} left out: {limit_s:.0f} s are over")
            return
        found, reasons = {}, []
        for name, layer in (("dense", F.linear), ("sparse", lambda x, w, b: Pruned.apply(x, w, b, device.prune))):
            try:
                work = WORKS[case.kind](case, device, layer, name == "sparse")
                found[name] = None if work is None else device.time(work)
            except RuntimeError as error:
                found[name] = None
                reasons.append(f"; no {name} time: {(str(error).splitlines() or ['no reason given'])[0]}")
        row = _row(case, device, found["dense"], found["sparse"], "".join(reasons))
        show(f"{number}/{len(cases)} {case.what}: dense {row['dense_ms'] or '-'} ms, 2:4 {row['sparse_ms'] or '-'} ms")
        yield row


def _row(case: Case, device: Device, dense: float | None, sparse: float | None, more: str) -> dict[str, object]:
    said = [device.card, case.what, case.kind, case.rows, case.inner or "", case.cols, "fp16"]
    times = ["" if each is None else f"{each:.6f}" for each in (dense, sparse)]
    ratio = f"{dense / sparse:.3f}" if dense and sparse else ""
    return dict(zip(COLUMNS, (*said, *times, ratio, "measured", device.source + more), strict=True))


def _product(case: Case, device: Device, _: Layer, sparse: bool) -> Work:
    left, weight = device.randn(case.rows, case.inner), device.randn(case.cols, case.inner)
    kept = torch.tensor([True, False, False, True], device=device.name).repeat(case.inner // 4)
    weight = device.compress(weight * kept) if sparse else weight
    return lambda: F.linear(left, weight)


def _pruning(case: Case, device: Device, _: Layer, sparse: bool) -> Work | None:
    weight = device.randn(case.rows, case.cols)
    return (lambda: device.prune(weight)) if sparse else None


def _linear(case: Case, device: Device, layer: Layer, _: bool) -> Work:
    given, gradient = device.randn(case.rows, case.inner, grad=True), device.randn(case.rows, case.cols)
    weight, bias = device.randn(case.cols, case.inner, grad=True), device.randn(case.cols, grad=True)
    return lambda: torch.autograd.grad(layer(given, weight, bias), (given, weight, bias), gradient)


def _mlp(case: Case, device: Device, layer: Layer, _: bool) -> Work:
    given, gradient = device.randn(case.rows, case.inner, grad=True), device.randn(case.rows, case.inner)
    first, second = device.randn(case.cols, case.inner, grad=True), device.randn(case.inner, case.cols, grad=True)

    def work() -> object:
        made = layer(F.gelu(layer(given, first, None)), second, None)
        return torch.autograd.grad(made, (given, first, second), gradient)

    return work


def _block(case: Case, device: Device, layer: Layer, _: bool) -> Work:
    """A block behind layer normalisation, with SGD; only its MLP is sparse."""
    width, hidden, length = case.inner, case.cols, min(SEQUENCE, case.rows)
    heads = (case.rows // length, length, 3, max(1, width // HEAD), -1)
    given, gradient = device.randn(case.rows, width, grad=True), device.randn(case.rows, width)
    shapes = ((3 * width, width), (width, width), (hidden, width), (width, hidden))
    weights = [(device.randn(*shape) / shape[1] ** 0.5).requires_grad_() for shape in shapes]

    def work() -> None:
        query, key, value = F.linear(F.layer_norm(given, (width,)), weights[0]).view(heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(case.rows, width)
        summed = given + F.linear(mixed, weights[1])
        inside = F.gelu(layer(F.layer_norm(summed, (width,)), weights[2], None))
        _, *gradients = torch.autograd.grad(summed + layer(inside, weights[3], None), (given, *weights), gradient)
        with torch.no_grad():
            torch._foreach_add_(weights, gradients, alpha=-1e-6)

    return work


WORKS = {"product": _product, "pruning": _pruning, "linear": _linear, "mlp": _mlp, "block": _block}


def _by_events(work: Work) -> float:
    """The median of the milliseconds between CUDA events, over enough runs one behind the other."""
    for _ in range(WARM_UPS):
        work()
    first = _between(work, 1)[0]
    return statistics.median(_between(work, min(MOST, max(LEAST, round(ENOUGH_MS / max(first, 1e-3))))))


def _between(work: Work, times: int) -> list[float]:
    torch.cuda.synchronize()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(times + 1)]
    events[0].record()
    for event in events[1:]:
        work()
        event.record()
    torch.cuda.synchronize()
    return [begin.elapsed_time(end) for begin, end in pairwise(events)]


def on_gpu() -> Device:
    """The GPU that torch takes by itself, with cuSPARSELt where there is one and CUTLASS otherwise."""
    fast = torch.backends.cusparselt.is_available()
    packed = (
        torch.sparse.SparseSemiStructuredTensorCUSPARSELT if fast else torch.sparse.SparseSemiStructuredTensorCUTLASS
    )
    library = "cuSPARSELt" if fast else "CUTLASS"
    source = (
        f"python -m tests.bench.gpu: torch {torch.__version__}, CUDA {torch.version.cuda}, {library}, no CUDA graphs"
    )
    compress, prune = torch.sparse.to_sparse_semi_structured, packed.prune_dense_static_sort
    return Device("cuda", torch.cuda.get_device_name(), source, _by_events, compress, prune)


def as_csv(rows: Sequence[dict[str, object]]) -> str:
    """The rows as the published table has them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description="Dense and 2:4 work on a GPU.")
    parser.add_argument("--out", type=Path, help="the file of the table; standard output otherwise")
    out = parser.parse_args().out
    if not torch.cuda.is_available():
        print(f"No GPU: torch {torch.__version__} sees none here, so nothing was measured.", file=sys.stderr)
        return 2
    try:
        # Opened before minutes of work, not behind them.
        file = nullcontext(sys.stdout) if out is None else out.open("w", encoding="utf-8")
    except OSError as error:
        print(f"--out {out}: {error.strerror}", file=sys.stderr)
        return 2
    torch.manual_seed(0)
    cases = [*published_cases(), *(Case(*each) for each in OWN)]
    with file as table:
        rows = measured(cases, on_gpu(), LIMIT_S, lambda said: print(said, file=sys.stderr, flush=True))
        table.write(as_csv(list(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

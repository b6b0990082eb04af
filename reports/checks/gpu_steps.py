"""The work behind rows of measured GPU times, stated: products, linear layers, MLPs and the image encoder of SAM."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from workloads.op import MatrixOp, Op, Operand, Optimizer, Phase, Role, VectorKind, VectorOp
from workloads.stated import product_layer
from workloads.workload import Capture, Mode, Workload

SEQUENCE, HEAD = 1024, 64  # tokens of a sequence of a block alone, and channels of a head
Layer = tuple[Sequence[Op], Sequence[Op]]  # forward, backward
# Elements read forward and backward for each one written, as in recorded steps.
READS = {VectorKind.NORMALISATION: (2, 4), VectorKind.ACTIVATION: (1, 2), VectorKind.SOFTMAX: (2, 4),
         VectorKind.ELEMENTWISE: (2, 2)}  # fmt: skip


def product(rows: int, inner: int, cols: int) -> Workload:
    """One product of rows x inner by inner x cols."""
    return replace(_step([(product_layer("product", rows, cols, inner)[:1], ())]), mode=Mode.INFERENCE)


def linear(rows: int, inner: int, cols: int) -> Workload:
    """A linear layer with bias, forward and backward, without an update."""
    return _step([_linear("linear", rows, inner, cols, bias=True)])


def pruning(rows: int, _: int, cols: int) -> Workload:
    """A step whose weights are rows x cols: what is pruned."""
    return _step([_linear("linear", 1, rows, cols, bias=False)])


def mlp(rows: int, inner: int, cols: int) -> Workload:
    """Linear layers inner -> cols -> inner without biases and a GELU between them, forward and backward."""
    first, second = (_linear("fc1", rows, inner, cols, False), _linear("fc2", rows, cols, inner, False))
    return _step([first, _vector("gelu", VectorKind.ACTIVATION, rows * cols), second])


def block(rows: int, inner: int, cols: int) -> Workload:
    """A step of a transformer block, `inner` channels and `cols` hidden ones, on `rows` tokens, updated by SGD."""
    return _step(_block("0", rows, rows, max(1, rows // SEQUENCE), inner, cols), updates=True)


def sam_encoder(batch: int, _: int, __: int) -> Workload:
    """The image encoder of SAM's ViT-L, 1024 x 1024 images, forward and backward.

    64 x 64 tokens of 1024 channels, 24 blocks with 16 heads; attention is in 14 x 14 windows of the 64 x 64 filled up
    to 70 x 70, but over all tokens in every sixth block (segment-anything, `build_sam_vit_l`). Moving tokens into
    windows and relative positions are left out; the neck's 3 x 3 convolution stands as a product.
    """
    tokens, width = batch * 4096, 1024
    layers = [_linear("patches", tokens, 768, width)]
    for number in range(24):
        parts, inside = (batch, tokens) if number % 6 == 5 else (25 * batch, 25 * batch * 196)
        layers += _block(str(number), tokens, inside, parts, width, 4 * width)
    for name, inner in (("neck.0", width), ("neck.2", 9 * 256)):
        layers += [_linear(name, tokens, inner, 256), _vector(f"{name}.norm", VectorKind.NORMALISATION, tokens * 256)]
    return _step(layers)


def _block(name: str, tokens: int, inside: int, parts: int, width: int, hidden: int) -> Sequence[Layer]:
    """A transformer block. Attention sees `inside` tokens in so many parts that do not see each other."""
    heads, length = max(1, width // HEAD), inside // parts
    return [
        _vector(f"{name}.norm1", VectorKind.NORMALISATION, tokens * width),
        _linear(f"{name}.qkv", inside, width, 3 * width),
        *_attention(f"{name}.attention", parts * heads, length, width // heads),
        _linear(f"{name}.proj", inside, width, width),
        _vector(f"{name}.sum1", VectorKind.ELEMENTWISE, tokens * width),
        _vector(f"{name}.norm2", VectorKind.NORMALISATION, tokens * width),
        _linear(f"{name}.mlp.fc1", tokens, width, hidden),
        _vector(f"{name}.mlp.gelu", VectorKind.ACTIVATION, tokens * hidden),
        _linear(f"{name}.mlp.fc2", tokens, hidden, width),
        _vector(f"{name}.sum2", VectorKind.ELEMENTWISE, tokens * width),
    ]


STEPS: Mapping[str, Callable[[int, int, int], Workload]] = {
    "product": product, "linear": linear, "pruning": pruning, "mlp": mlp, "block": block, "encoder": sam_encoder,
}  # fmt: skip


def _step(layers: Sequence[Layer], updates: bool = False) -> Workload:
    """Layers forward, backward in reverse, and SGD of their weights where it is asked for.

    Left operands of forward products are kept for the backward pass.
    """
    forward = [op for layer, _ in layers for op in layer]
    backward = [op for _, layer in reversed(layers) for op in layer]
    products = [op for op in forward if isinstance(op, MatrixOp)]
    weights = {op.layer: op.inner * op.cols for op in products if op.right.role is Role.WEIGHT}
    updated = [
        VectorOp(layer, Phase.UP, VectorKind.UPDATE, size, 2 * size, size, optimizer=Optimizer.SGD)
        for layer, size in weights.items()
        if updates
    ]
    return Workload(
        model="published row",
        method="dense",
        pattern="dense",
        batch=1,
        sequence=1,
        mode=Mode.TRAINING,
        ops=(*forward, *backward, *updated),
        parameters=sum(weights.values()),
        saved_elements=sum(op.left_distinct for op in products),
        kept_dense=(),
        capture=Capture(source="published row", shapes="stated by its source"),
    )


def _linear(name: str, rows: int, inner: int, cols: int, bias: bool = True) -> Layer:
    forward, *backward = product_layer(name, rows, cols, inner)
    made = rows * cols
    summed = [VectorOp(name, Phase.BP, VectorKind.ELEMENTWISE, made, made, cols)] if bias else []
    return [forward], [*backward, *summed]


def _vector(name: str, kind: VectorKind, size: int) -> Layer:
    forward, backward = (
        [VectorOp(name, phase, kind, size, size * reads, size)]
        for phase, reads in zip((Phase.FF, Phase.BP), READS[kind], strict=True)
    )
    return forward, backward


def _attention(name: str, count: int, length: int, width: int) -> Sequence[Layer]:
    """Scores, softmax and the mix of values, for `count` heads; nothing of it has weights."""
    left, right = Operand(f"{name}.left", Role.ACTIVATION), Operand(f"{name}.right", Role.ACTIVATION)

    def times(part: str, phase: Phase, inner: int, cols: int) -> MatrixOp:
        return MatrixOp(f"{name}.{part}", phase, length, inner, cols, left, right, count)

    scores = times("scores", Phase.BP, length, width)
    mixed = [times("mix", Phase.BP, width, length), times("mix", Phase.BP, length, width)]
    return [
        ([times("scores", Phase.FF, width, length)], [scores, scores]),
        _vector(f"{name}.softmax", VectorKind.SOFTMAX, count * length * length),
        ([times("mix", Phase.FF, length, width)], mixed),
    ]

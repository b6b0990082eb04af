"""The products of MatMul, Gemm and Einsum.

Axes that both factors and the result have are counted as products of their own; axes of one factor alone are rows or
columns. So a matrix that is shared over a batch is multiplied once, by all the batch's rows:

    (8, 32, 64) by (64, 16)              one product of 256 x 64 by 64 x 16
    (8, 12, 32, 64) by (8, 12, 64, 32)   96 products of 32 x 64 by 64 x 32
    (8, 12, 32, 64) by (8, 1, 64, 32)    8 products of 384 x 64 by 64 x 32, keys that are shared by 12 heads
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from math import prod
from string import ascii_letters

from workloads.errors import UserError
from workloads.onnx_file.draft import Draft
from workloads.onnx_file.facts import Facts
from workloads.onnx_file.graph import Node
from workloads.onnx_file.vector import bias_op, vector_op
from workloads.op import MatrixOp, Operand, Phase, Role, VectorOp

Work = Iterator[Draft | VectorOp]


@dataclass(frozen=True)
class Sizes:
    """`count` products of rows x inner by inner x cols."""

    rows: int
    inner: int
    cols: int
    count: int = 1


def matmul(node: Node, layer: str, facts: Facts) -> Work:
    """Matrices in the last two axes of both factors, the axes before broadcast; a vector is a row or a column."""
    left, right = facts.shape(node, node.given(0)), facts.shape(node, node.given(1))
    (*before, rows, inner), (*others, _, cols) = (1, 1, *left)[-max(2, len(left)) :], _columns(right)
    count = 1
    for mine, its in zip_longest(reversed(before), reversed(others), fillvalue=1):
        if mine == its:
            count *= mine
        else:
            rows, cols = rows * (mine if its == 1 else 1), cols * (its if mine == 1 else 1)
    yield drafted(node, layer, facts, Sizes(rows, inner, cols, count))


def _columns(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, 1) if len(shape) == 1 else shape


def gemm(node: Node, layer: str, facts: Facts) -> Work:
    """A matrix by a matrix, either of them transposed; the bias is added behind it."""
    left, right = (facts.shaped(node, node.given(each), 2) for each in range(2))
    rows, inner = reversed(left) if node.number("transA", 0) else left
    cols = right[0] if node.number("transB", 0) else right[1]
    yield drafted(node, layer, facts, Sizes(rows, inner, cols))
    if node.given(2):
        yield bias_op(node, layer, facts)


def einsum(node: Node, layer: str, facts: Facts) -> Work:
    """Two factors by the letters of their axes. Without a letter that is summed over, it is work on elements."""
    if len(node.inputs) != 2:
        raise _refused(node, facts, f"has {len(node.inputs)} factors; two are multiplied here, so write it as several")
    shapes = [facts.shape(node, name) for name in node.inputs]
    left, right, result = _letters(node, facts, [len(shape) for shape in shapes])
    sizes: dict[str, int] = {}
    for letter, size in zip(left + right, shapes[0] + shapes[1], strict=True):
        sizes[letter] = max(sizes.get(letter, 1), size)
    if summed := (set(left) ^ set(right)) - set(result):
        raise _refused(node, facts, f"sums over '{min(summed)}', an axis of one factor; put a ReduceSum in front")
    inner = (set(left) & set(right)) - set(result)
    if not inner:
        yield vector_op(node, layer, facts)
        return
    found = (set(left) - set(right), inner, set(right) - set(left), set(left) & set(right) & set(result))
    rows, among, cols, count = (prod(sizes[letter] for letter in letters) for letters in found)
    yield drafted(node, layer, facts, Sizes(rows, among, cols, count))


def _letters(node: Node, facts: Facts, axes: list[int]) -> tuple[str, str, str]:
    """A letter for every axis of both factors and of the result, those that dots stand for included."""
    equation = node.words.get("equation", "").replace(" ", "")
    factors, arrow, result = equation.partition("->")
    terms = factors.split(",")
    spare = [letter for letter in ascii_letters if letter not in equation]
    hidden = [count - len(term.replace("...", "")) for term, count in zip(terms, axes, strict=False)]
    if len(terms) != 2 or min(hidden) < 0 or max(hidden) > len(spare):
        raise _refused(node, facts, f"cannot be of its factors: '{equation}'")
    dots = "".join(spare[: max(hidden)])
    left, right = (term.replace("...", dots[len(dots) - count :]) for term, count in zip(terms, hidden, strict=True))
    result = result.replace("...", dots)
    if not arrow:  # letters that are there once, in the order of the alphabet
        result = dots + "".join(
            sorted(each for each in set(left + right) - set(dots) if (left + right).count(each) < 2)
        )
    if [len(left), len(right)] != axes or not set(result) <= set(left + right):
        raise _refused(node, facts, f"cannot be of its factors: '{equation}'")
    if any(len(set(term)) < len(term) for term in (left, right, result)):
        raise _refused(node, facts, f"takes a diagonal: '{equation}'; take it in a node of its own")
    return left, right, result


def _refused(node: Node, facts: Facts, said: str) -> UserError:
    return UserError(f"{facts.path}: {node.shown} {said}")


def drafted(node: Node, layer: str, facts: Facts, sizes: Sizes) -> Draft:
    """The product of a node's first two inputs; a weight stands on the right."""
    return product_of(layer, facts, sizes, (node.given(0), node.given(1)), node.made)


def product_of(layer: str, facts: Facts, sizes: Sizes, factors: tuple[str, str], made: str) -> Draft:
    """The product of two values that makes a third."""
    left, right = factors
    if facts.is_weight(left) and not facts.is_weight(right):
        left, right = right, left
        sizes = replace(sizes, rows=sizes.cols, cols=sizes.rows)
    op = MatrixOp(
        layer, Phase.FF, sizes.rows, sizes.inner, sizes.cols, data_of(left, facts), factor(right, facts), sizes.count
    )
    composed = facts.is_weight(left)
    return Draft(op, facts.learns(left, made), facts.learns(right, made), composed)


def factor(name: str, facts: Facts) -> Operand:
    """A right factor: a weight where it is made of parameters alone."""
    return Operand(facts.root(name), Role.WEIGHT if facts.is_weight(name) else Role.ACTIVATION)


def data_of(name: str, facts: Facts) -> Operand:
    """A left factor."""
    return Operand(facts.root(name), Role.ACTIVATION)

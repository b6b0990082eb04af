"""Depths of the groups in which dense work comes: how many weights of a reduction share a group of operands."""

from dataclasses import replace

from dataflows.systolic.lowering import Product
from dataflows.systolic.target import Target


def dense_depths(target: Target, product: Product) -> range:
    """Depths that dense work may have, the largest first. The core's groups are whole words."""
    spec, length, word = target.arch.array, product.reduction.length, 1
    if target.words is not None:
        word = target.banks.word
        length = -(-length // word) * word
    return range(min(spec.group_max, spec.window_max, length) // word * word, 0, -word)


def depths(target: Target, product: Product) -> range:
    """The same of any work; sparse work has its own depth."""
    n = product.reduction.n
    return dense_depths(target, product) if product.pattern.is_dense else range(n, n - 1, -1)


def at_depth(product: Product, depth: int) -> Product:
    """Dense work in groups of that depth; sparse work as it is."""
    if product.reduction.n == depth:
        return product
    return replace(product, reduction=product.reduction._replace(n=depth, m=depth))


def is_narrow(target: Target) -> bool:
    """Whether a link may be behind an array that uses every operand at least once a cycle: then times hang on depth."""
    return any(link is not None and link < 1 for link in (target.array.west_link, target.array.north_link))

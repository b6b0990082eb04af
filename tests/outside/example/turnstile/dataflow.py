"""A dataflow of its own: weight stationary, but only at the largest depth of a group that the array has."""

from collections.abc import Iterator
from itertools import islice

from dataflows.systolic.lowering import Product
from dataflows.systolic.mapping import Draft
from dataflows.systolic.target import Target
from dataflows.systolic.weight_stationary import WeightStationary


class Tall(WeightStationary):
    """The first drafts of the weight-stationary dataflow; it cuts its tiles as that one does."""

    name = "tall"
    is_default = False

    def drafts(self, target: Target, product: Product) -> Iterator[Draft]:
        return islice(super().drafts(target, product), 2)

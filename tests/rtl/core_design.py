"""A small core with its programs, for tests of all that is made of it."""

from functools import cache

from rtl.core.program import CoreAsked, CoreDesign
from rtl.core.registers import CoreMap
from simulator.hil.design import core_design

ASKED = CoreAsked(cols=2)


@cache
def small_design() -> CoreDesign:
    return core_design(ASKED)


def small_map() -> CoreMap:
    return CoreMap(small_design().layout, ASKED.queue)

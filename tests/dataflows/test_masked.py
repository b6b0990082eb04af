"""Sparse products on an array that does dense ones too, where the dense mapping with masked weights can be taken."""

from dataclasses import replace

import pytest

from dataflows.systolic.places import Way
from dataflows.systolic.planner import Planner
from simulator import simulate
from simulator.runs import Runs
from tests.dataflows.masked import random_pairs
from tests.machines import DATAFLOWS, MACHINES
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.pattern import DENSE, Pattern, parse_pattern


def test_a_sparse_product_is_never_slower_than_the_dense_one() -> None:
    """Forty random products and machines; `python -m tests.dataflows.masked 2000` runs many more."""
    assert all(each.holds for each in random_pairs(40))


def product(pattern: Pattern) -> MatrixOp:
    return MatrixOp("layer", Phase.FF, 3136, 576, 64, Operand("x", Role.ACTIVATION), Operand("w", Role.WEIGHT, pattern))


def test_masked_weights_are_taken_where_selecting_costs_more_than_it_saves() -> None:
    """2:8 over a link of one operand a cycle: a group of 8 takes 8 cycles, as many as its dense products."""
    sat = MACHINES["sat"]
    arch = replace(sat, array=replace(sat.array, west_link_operands_per_cycle=1, accumulators=1))
    planner, sparse = Planner(arch, DATAFLOWS, Runs()), product(parse_pattern("2:8"))
    packed, masked, dense = planner.choose(sparse), planner.choose(sparse, Way.MASKED), planner.choose(product(DENSE))
    assert planner.may_be_masked(sparse)
    assert sum(each.cycles for each in masked) == sum(each.cycles for each in dense) < sum(e.cycles for e in packed)


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_result_names_masked_weights_and_their_copies(mode: str) -> None:
    """In training SORE zeroes a dense copy for them behind the update, of 2 bytes a weight."""
    settings = {"array.west_link_operands_per_cycle": 1, "array.accumulators": 1}
    found = simulate("sat", "2:8", "3136x64x576", mode=mode, settings=settings)
    forward = found.ops[found.ops["phase"] == "FF"].iloc[0]
    assert forward["detail"].startswith("weights=masked")
    assert forward["pattern"] == "2:8"
    assert found.dense is not None
    assert forward["cycles"] <= found.dense.ops.iloc[0]["cycles"]
    assert forward["macs_padded"] >= 3 * forward["macs_useful"]  # the zeros are multiplied
    if mode == "training":
        update = found.ops[found.ops["phase"] == "UP"].iloc[0]
        written = found.actions[(found.actions["op"] == update.name) & (found.actions["kind"] == "dram.write")]
        assert int(written["amount"].sum()) >= 576 * 64 * (4 + 4 + 2)


def test_nothing_is_masked_where_packed_weights_win() -> None:
    found = simulate("sat", "2:8", "resnet9", batch=8)
    assert not found.ops["detail"].str.contains("masked").any()

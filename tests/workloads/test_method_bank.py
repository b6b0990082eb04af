"""Bank-balanced pruning: every bank really keeps the same number, after real training, and never more than before."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.workloads.small import ADAMW, SGD, SPARSE, batches, training, weight_of
from workloads.errors import UserError
from workloads.methods.bank import BANK, Gradual
from workloads.methods.base import END_OF_RUN, Known
from workloads.methods.fields import changed
from workloads.op import MatrixOp, Phase
from workloads.pattern import parse_pattern
from workloads.training.data import batches as digit_batches

PATTERN = parse_pattern("bank 4:64")
steps_of = st.integers(1, 400)


def kept_in_banks(mask: Tensor, m: int) -> set[tuple[int, int]]:
    """(elements of the bank, kept ones) of every bank along the input channels of (G, O, C, T)."""
    banks = mask.movedim(2, -1).split(m, dim=-1)
    return {(bank.shape[-1], int(count)) for bank in banks for count in bank.sum(-1).flatten()}


@given(steps_of, st.integers(1, 20), st.sampled_from(["bank 4:64", "2:8", "bank 32:64"]))
def test_a_bank_keeps_ever_fewer_until_it_keeps_what_was_asked_for(total: int, period: int, text: str) -> None:
    rule, pattern = Gradual(total_steps=total, period=period), parse_pattern(text)
    kept = [rule.kept(pattern, step) for step in range(total)]
    assert kept == sorted(kept, reverse=True)
    assert rule.kept(pattern, END_OF_RUN) == pattern.n and kept[0] <= pattern.m
    for step, (before, after) in enumerate(pairwise(kept)):
        assert before == after or rule.due(step + 1)
    if total >= 10:
        assert kept[-1] == pattern.n


def test_the_schedule_is_cubic() -> None:
    rule = Gradual(total_steps=100, start_share=0.0, stop_share=1.0, period=1)
    dropped = [64 - rule.kept(PATTERN, step) for step in (0, 25, 50, 75, 100)]
    assert dropped == [int(60 * (1 - (1 - share) ** 3)) for share in (0, 0.25, 0.5, 0.75, 1)]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("update", [SGD, ADAMW])
def test_every_bank_keeps_the_same_number_at_every_step_of_real_training(update: object, mixed: bool) -> None:
    rule = Gradual(total_steps=12, start_share=0.1, stop_share=0.7, period=2)
    method = changed(BANK, total_steps=12, start_share=0.1, stop_share=0.7, period=2)
    run, data = training(method, "bank 4:64", update, mixed), batches()  # type: ignore[arg-type]
    before: dict[str, Tensor] = {}
    for step in range(12):
        for name in SPARSE:
            layer = weight_of(run.model, name)
            assert layer.masks is not None
            mask = layer.canonical(layer.masks.forward).clone()
            kept = rule.kept(PATTERN, step)
            assert {count == min(kept, size) for size, count in kept_in_banks(mask, 64)} == {True}
            assert name not in before or not (mask & ~before[name]).any()
            assert torch.equal(layer.masks.forward, layer.masks.backward)
            before[name] = mask
        run.run_step(next(data))
    assert rule.kept(PATTERN, 11) == 4


def test_kept_weights_that_are_zero_stay_kept() -> None:
    rule, first = Gradual(total_steps=10, start_share=0.0, stop_share=0.5, period=1), torch.zeros(1, 3, 128, 1)
    past = torch.zeros(1, 3, 128, 1, dtype=torch.bool)
    past[:, :, 60:64] = past[:, :, 70:74] = True
    mask = rule.mask(first, parse_pattern("bank 4:64"), Known(past), 9)
    assert torch.equal(mask, past)


def test_recorded_steps_say_the_pattern_in_force_and_then_the_one_asked_for() -> None:
    method = changed(BANK, total_steps=6, start_share=0.0, stop_share=0.5, period=1)
    run, data = training(method, "bank 4:64"), batches()
    found = []
    for _ in range(5):
        ops = [op for op in run.record_step(next(data))[0].ops if isinstance(op, MatrixOp) and op.layer == "hidden"]
        found += [str(op.right.pattern) for op in ops if op.phase is Phase.FF]
    assert found[0] == "dense" and found[-1] == "bank 4:64"
    assert found[1].startswith("bank ") and found[1] != "bank 4:64"


def test_it_learns_at_sixteen_times() -> None:
    from workloads.models.resnet import resnet9
    from workloads.pattern import parse_patterns
    from workloads.training.loop import Recipe, Training
    from workloads.training.updates import Momentum

    torch.manual_seed(1)
    method, patterns = changed(BANK, total_steps=40, period=2), parse_patterns(["bank 4:64"])
    recipe = Recipe(method, patterns, resnet9.kept_dense, Momentum(0.05, 1e-4), False)
    run, data = Training(resnet9.build(width=0.25, image=16), recipe), digit_batches(resnet9, 64, image=16)
    losses = [run.run_step(next(data)) for _ in range(40)]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"start_share": 0.6, "stop_share": 0.5}, "start_share must lie below stop_share"),
        ({"period": 0}, "period must be at least 1, not 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        changed(BANK, **settings)
    with pytest.raises(UserError, match="allowed are dense, n:m such as 2:8 and bank n:m"):
        BANK.pattern_at(parse_pattern("fan-in 8"), 0)

"""What changes during a run: patterns, factors, masks that are kept for a while, and decays; each step by step."""

from itertools import pairwise

import pytest
import torch

from tests.workloads.small import ADAMW, SGD, SPARSE, Small, batches, training, treated, weight_of
from workloads.errors import UserError
from workloads.methods.adams import ADAMS, Pull
from workloads.methods.base import END_OF_RUN, Known, Method
from workloads.methods.bdwp import BDWP
from workloads.methods.bimask import BIMASK
from workloads.methods.dense import DENSE_TRAINING
from workloads.methods.fields import changed, fitted
from workloads.methods.mdgf import MDGF, Fading, Fall
from workloads.methods.sdgf import SDGF, Phases, Schedule
from workloads.methods.sdgp import SDGP
from workloads.methods.sdwp import SDWP
from workloads.methods.srigl import SRIGL, Regrowth
from workloads.methods.srste import SRSTE
from workloads.methods.ste import STE
from workloads.methods.torch24 import TORCH24
from workloads.methods.transposable import TRANSPOSABLE
from workloads.op import MatrixOp, Phase
from workloads.pattern import DENSE, parse_pattern, parse_patterns
from workloads.sparsity.products import masked
from workloads.sparsity.sparsify import set_step
from workloads.training.flips import masks_of
from workloads.training.loop import Training
from workloads.training.masks import group_mask, random_mask, regrown


def recorded_patterns(run: Training, steps: int, layer: str = "middle") -> list[str]:
    """The pattern of FF's weight at every step."""
    data, found = batches(), []
    for _ in range(steps):
        ops = [op for op in run.record_step(next(data))[0].ops if isinstance(op, MatrixOp) and op.layer == layer]
        found += [str(op.right.pattern) for op in ops if op.phase is Phase.FF]
    return found


# --- masks kept for a while ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "update"), [(changed(TRANSPOSABLE, period=3), SGD), (changed(ADAMS, period=3), ADAMW)]
)
def test_masks_are_new_every_period_only(method: Method, update: object) -> None:
    run, data, masks = training(method, "2:4", update), batches(), []  # type: ignore[arg-type]
    layer = weight_of(run.model, "middle")
    for _ in range(7):
        masks.append(layer.masks.forward.clone())
        layer.master.data = layer.master.data.flip(1)
        run.run_step(next(data))
    same = [torch.equal(before, after) for before, after in pairwise(masks)]
    assert same == [True, True, False, True, True, False]


@pytest.mark.parametrize("method", [STE, SRSTE, BDWP, SDWP, changed(BIMASK, candidates=2), MDGF, SDGF, TORCH24])
def test_other_masks_are_new_at_every_step(method: Method) -> None:
    assert all(method.makes_masks(step) for step in range(3))
    assert not TRANSPOSABLE.makes_masks(39) and TRANSPOSABLE.makes_masks(40)


# --- MdGf ------------------------------------------------------------------------------------------------------------


def test_the_factor_falls_to_zero_before_tuning() -> None:
    linear = Fading(total_steps=100, fall=Fall.LINEAR, dense_share=0.2, tune_share=0.3, last_factor=0.1)
    assert [round(linear.factor(step), 3) for step in (0, 20, 45, 69, 70, 99, END_OF_RUN)] == [
        *(1.0, 1.0, 0.55, 0.118, 0.0, 0.0, 0.0),
    ]
    exponential = Fading(total_steps=100, tune_share=0.0, last_factor=0.01)
    assert [round(exponential.factor(step), 4) for step in (0, 50, 99, 100)] == [1.0, 0.1, 0.0105, 0.0]
    assert Fading(total_steps=10_000, beta=1e-4).factor(1000) == pytest.approx(2.718281828**-0.1)


@pytest.mark.parametrize("mixed", [False, True])
def test_fading_weights_are_dense_operands_until_the_factor_is_zero(mixed: bool) -> None:
    run = training(changed(MDGF, total_steps=6, tune_share=0.4), mixed=mixed)
    assert recorded_patterns(run, 6) == ["dense"] * 4 + ["2:4"] * 2
    layer = treated(Small().hidden, changed(MDGF, total_steps=6), mixed=mixed)
    layer.make_masks(2)
    assert layer.masks is not None and layer.pattern == DENSE
    weight = layer.master.detach().half().float() if mixed else layer.master.detach()
    kept, factor = group_mask(weight, parse_pattern("2:4"), 1), Fading(total_steps=6).factor(2)
    ahead, back = layer.weights()
    expected = torch.where(kept, weight, weight * factor)
    assert torch.equal(ahead, expected.half().float() if mixed else expected) and torch.equal(ahead, back)


# --- SdGf ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "text", "phases"),
    [
        (Schedule.SPARSIFY, "2:4", "3:4 2:4"),
        (Schedule.SPARSIFY, "1:8", "7:8 4:8 2:8 1:8"),
        (Schedule.SPARSIFY, "2:8", "7:8 4:8 2:8"),
        (Schedule.SPARSIFY, "3:8", "7:8 4:8 3:8"),
        (Schedule.SPARSIFY, "3:4", "3:4"),
        (Schedule.SPARSIFY, "1:2", "1:2"),
        (Schedule.GEOMETRIC, "1:8", "8:64 4:32 2:16 1:8"),
        (Schedule.DENSIFY, "2:4", "2:32 2:16 2:8 2:4"),
    ],
)
def test_phases_end_in_the_pattern_asked_for(schedule: Schedule, text: str, phases: str) -> None:
    method = changed(SDGF, schedule=schedule, total_steps=100)
    assert " ".join(map(str, Phases(schedule=schedule).phases(parse_pattern(text)))) == phases
    each = 100 / len(phases.split())
    at = [
        str(method.pattern_at(parse_pattern(text), int(each * phase + each / 2)))
        for phase in range(len(phases.split()))
    ]
    assert " ".join(at) == phases
    assert str(method.pattern_at(parse_pattern(text), END_OF_RUN)) == text


@pytest.mark.parametrize("schedule", list(Schedule))
def test_the_pattern_of_every_step_is_recorded(schedule: Schedule) -> None:
    method = changed(SDGF, schedule=schedule, total_steps=8)
    run, asked = training(method, "1:8"), parse_pattern("1:8")
    assert recorded_patterns(run, 9) == [str(method.pattern_at(asked, step)) for step in range(9)]
    assert len({method.pattern_at(asked, step) for step in range(8)}) == 4


# --- SRigL -----------------------------------------------------------------------------------------------------------


def test_the_dropped_share_falls_as_half_a_cosine() -> None:
    rule = Regrowth(total_steps=1000)
    assert [round(rule.dropped_share(step), 4) for step in (0, 375, 750, 900)] == [0.3, 0.15, 0.0, 0.0]
    assert [step for step in range(1000) if rule.due(step)] == [*range(0, 701, 100)]


def test_regrowing_keeps_the_largest_weights_and_takes_the_largest_gradients() -> None:
    torch.manual_seed(1)
    weight, gradient = torch.randn(1, 8, 16, 1), torch.randn(1, 8, 16, 1)
    mask = random_mask(weight, 6, seed=0)
    new = regrown(weight, gradient, mask, 6, 0.25)
    assert set(mask.sum((2, 3)).flatten().tolist()) == set(new.sum((2, 3)).flatten().tolist()) == {6}
    smallest_kept = weight.abs()[mask].sort(descending=True).values[35]  # 36 of 48 stay
    assert new[mask & (weight.abs() >= smallest_kept)].all()
    for row in range(8):
        stays = mask[0, row, :, 0] & (weight[0, row, :, 0].abs() >= smallest_kept)
        grown, left = new[0, row, :, 0] & ~stays, ~new[0, row, :, 0]
        if grown.any():
            assert gradient[0, row, grown].abs().min() >= gradient[0, row, left].abs().max()
    gradient[0, 0, 0, 0] = torch.nan
    gradient[0, 1] = torch.inf
    assert set(regrown(weight, gradient, mask, 6, 0.25).sum((2, 3)).flatten().tolist()) == {6}


def test_srigl_masks_move_until_they_stop() -> None:
    run, data, masks = training(changed(SRIGL, total_steps=8, period=2), "fan-in 24"), batches(), []
    layer = weight_of(run.model, "middle")
    for _ in range(8):
        masks.append(layer.masks.forward.clone())
        run.run_step(next(data))
    moved = [not torch.equal(before, after) for before, after in pairwise(masks)]
    assert moved == [False, True, False, True, False, False, False]
    first = SRIGL.forward_mask(layer.canonical(layer.master.detach()), parse_pattern("fan-in 24"), Known(), 0)
    assert not torch.equal(first, masks[0].reshape(first.shape))  # other weights, other random inputs


# --- decay -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    ("method", "rate"),
    [
        *((SRSTE, 2e-4), (changed(BIMASK, candidates=2), 2e-4), (STE, 0.0), (BDWP, 0.0), (SDWP, 0.0)),
        *((TRANSPOSABLE, 0.0), (TORCH24, 0.0), (changed(SDWP, decay=0.1), 0.1), (SDGP, 0.0)),
    ],
)
def test_decay_is_added_once_after_unscaling(method: Method, rate: float, mixed: bool) -> None:
    """The first momentum is the gradient that the optimizer got."""
    run = training(method, mixed=mixed)
    weights = {layer: weight_of(run.model, layer) for layer in SPARSE}
    before = {layer: weight.master.detach().clone() for layer, weight in weights.items()}
    masks = masks_of(run.model)
    run.run_step(next(batches()))
    for layer in SPARSE:
        expected = weights[layer].master.grad  # without the loss scale, and without the decay
        if rate:
            mask = masks[layer].backward if method.decay_phase is Phase.BP else masks[layer].forward
            expected = expected + masked(before[layer], ~mask) * rate
        assert torch.equal(run.states[f"{layer}.weight"]["momentum"], expected)
    assert torch.equal(run.states["head.weight"]["momentum"], run.model.head.weight.grad)


def test_dropped_weights_get_their_whole_gradient_except_under_srigl() -> None:
    for method, pattern in ((changed(SRSTE, decay=0.0), "2:4"), (SRIGL, "fan-in 24")):
        run = training(method, pattern)
        dropped = ~weight_of(run.model, "middle").masks.forward
        run.run_step(next(batches()))
        moved = run.states["middle.weight"]["momentum"][dropped]
        assert bool(moved.any()) == (method.name == "srste")


# --- AdamS -----------------------------------------------------------------------------------------------------------


def test_adams_pulls_unmarked_weights_to_zero_after_adamw() -> None:
    method, batch = changed(ADAMS, total_steps=8, rate=1e-5), next(batches())
    plain, pulled = training(DENSE_TRAINING, update=ADAMW), training(method, update=ADAMW)
    pulled.step = plain.step = 1  # the ramp starts at 0
    set_step(pulled.model, 1)
    marked = masks_of(pulled.model)["middle"].forward
    for run in (plain, pulled):
        run.run_step(batch)
    second = plain.states["middle.weight"]["second_moment"]
    reached = plain.model.middle.weight.detach()
    pull = 0.5e-5 / ((second / (1 - 0.999**2)).sqrt() + 1e-8)
    expected = torch.where(marked, reached, (reached.abs() - pull).clamp(min=0).copysign(reached))
    assert torch.equal(pulled.model.middle.weight.detach(), expected)
    assert torch.equal(pulled.model.head.weight, plain.model.head.weight)
    assert not torch.equal(pulled.model.middle.weight, plain.model.middle.weight)


def test_adams_gathers_weight_in_two_of_four_and_never_crosses_zero() -> None:
    def outside(rate: float) -> float:
        run, data = training(changed(ADAMS, total_steps=8, rate=rate), update=ADAMW), batches()
        for _ in range(8):
            run.run_step(next(data))
        weight = run.model.hidden.weight.detach()
        kept = group_mask(weight, parse_pattern("2:4"), 1)
        return float(weight.abs()[~kept].sum() / weight.abs().sum())

    assert outside(1.0) == 0.0
    assert outside(1e-6) < outside(0.0)
    assert [Pull(total_steps=100, rate=1.0).rate_at(step) for step in (0, 5, 25, 99)] == [0.0, 0.2, 1.0, 1.0]


def test_adams_needs_the_second_moment() -> None:
    with pytest.raises(UserError, match="method 'adams': its decay needs the second moment of the optimizer adamw"):
        training(ADAMS, update=SGD).run_step(next(batches()))


# --- what cannot be --------------------------------------------------------------------------------------------------

GROUPS, NM_ONLY = "allowed are dense, n:m such as 2:8 and bank n:m", "allowed are dense, n:m such as 2:8"
REFUSED: list[tuple[Method, str, str]] = [
    *((method, "fan-in 3", GROUPS) for method in (STE, SRSTE, SDWP, SDGP, MDGF, ADAMS)),
    *((method, "density 0.5", GROUPS) for method in (STE, SDGP)),
    *((method, "bank 2:8", NM_ONLY) for method in (BIMASK, TRANSPOSABLE, SDGF)),
    (SRIGL, "2:4", "allowed are dense, fan-in k"),
    (TORCH24, "2:8", "torch has 2:4 only"),
]


@pytest.mark.parametrize(("method", "text", "message"), REFUSED)
def test_patterns_a_method_cannot_train(method: Method, text: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"^method '{method.name}': pattern '{text}' cannot be trained; {message}$"):
        method.pattern_at(parse_pattern(text), 0)
    with pytest.raises(UserError, match=f"^layer 'middle': method '{method.name}': pattern '{text}'"):
        training(method, text)
    assert method.pattern_at(DENSE, 0) == DENSE


def test_more_kept_than_a_group_has_is_refused() -> None:
    with pytest.raises(UserError, match="'8:2' keeps more than a group has"):
        parse_patterns(["8:2"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: changed(TRANSPOSABLE, period=0), "method 'transposable': the period must be at least 1, not 0"),
        (lambda: changed(BIMASK, candidates=0), "method 'bimask': period and candidates must be at least 1"),
        (lambda: changed(MDGF, dense_share=0.6, tune_share=0.5), "method 'mdgf': dense_share and tune_share"),
        (lambda: changed(MDGF, last_factor=0.0), "method 'mdgf': last_factor must lie between 0 and 1, not at 0"),
        (lambda: changed(SRIGL, stop_share=0.0), "method 'srigl': period must be at least 1, stop_share"),
        (lambda: changed(ADAMS, rate=-1.0), "method 'adams': period must be at least 1, ramp_share above 0"),
        (lambda: fitted(SDGF, 0), "total_steps 0: a run has at least one step"),
        (
            lambda: changed(SDGF, schedule=Schedule.DENSIFY).pattern_at(parse_pattern("2:256"), 0),
            "method 'sdgf': schedule 'densify' starts with groups of 2048; more than 1024 are not supported",
        ),
    ],
)
def test_settings_that_make_no_sense(make: object, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        make()  # type: ignore[operator]


def test_a_schedule_is_fitted_to_the_run() -> None:
    densify = fitted(changed(SDGF, schedule=Schedule.DENSIFY), 40)
    seen = [str(densify.pattern_at(parse_pattern("2:4"), step)) for step in (0, 10, 20, 30)]
    assert seen == ["2:32", "2:16", "2:8", "2:4"]
    assert fitted(STE, 330) == STE

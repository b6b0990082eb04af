"""What an optimizer's step does to masks and gradients: skipped, wrapped, failed, with a closure, and of several."""

from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from tests.workloads.loops import (
    assert_same,
    copied,
    counters,
    largest,
    own_loss,
    sparse_network,
)
from workloads import advance, record, sparsify
from workloads.errors import UserError
from workloads.op import Phase

RATE, DECAY = 0.25, 0.5


def layer(method: str, **numbers: object) -> nn.Sequential:
    """One linear layer under a method."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(16, 8, bias=False))
    sparsify(model, method, "2:4", numbers=numbers, total_steps=8 if method == "bank" else None)
    return model


def loss_of(model: nn.Module, at: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(at)
    return cast(Tensor, model(torch.randn(6, 16, generator=generator)).square().sum())


def closure_of(model: nn.Module, optimizer: torch.optim.Optimizer, at: int = 0) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, at)
        loss.backward()
        return loss

    return closure


def gradient(model: nn.Module, at: int = 0) -> Tensor:
    return torch.autograd.grad(loss_of(model, at), model[0].weight)[0]


def after_step(model: nn.Module, at: int) -> Tensor:
    """The weight after a step of plain descent with SR-STE's decay, by formula."""
    weight = model[0].weight.detach()
    return weight - RATE * (gradient(model, at) + DECAY * weight * ~largest(weight, 1))


@pytest.mark.parametrize("closed", [False, True], ids=["plain", "closure"])
def test_the_decay_of_srste_is_in_every_step_and_not_in_the_gradient_left_behind(closed: bool) -> None:
    model = layer("srste", decay=DECAY)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for at in range(3):
        wanted, whole = after_step(model, at), gradient(model, at)
        closure = closure_of(model, optimizer, at)
        if not closed:
            closure()
        optimizer.step(closure if closed else None)
        torch.testing.assert_close(model[0].weight.detach(), wanted)
        assert torch.equal(model[0].weight.grad, whole)
        assert torch.equal(model[0].mask_ff, largest(model[0].weight.detach(), 1)) and counters(model) == {at + 1}


@pytest.mark.parametrize("closed", [False, True], ids=["plain", "closure"])
def test_what_bank_dropped_gets_no_gradient(closed: bool) -> None:
    model = layer("bank", start_share=0.0, stop_share=0.25, period=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for at in range(4):
        weight, mask = model[0].weight.detach().clone(), model[0].mask_ff.clone()
        wanted = weight - RATE * gradient(model, at) * mask
        closure = closure_of(model, optimizer, at)
        if not closed:
            closure()
        optimizer.step(closure=closure if closed else None)
        torch.testing.assert_close(model[0].weight.detach(), wanted)
        assert torch.equal(model[0].weight.detach()[~mask], weight[~mask])
    assert int(model[0].mask_ff.sum()) == 8 * 16 // 2


def test_a_gradient_that_is_gathered_before_a_closure_adds_more_decays_once() -> None:
    model = layer("srste", decay=DECAY)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    weight, whole = model[0].weight.detach().clone(), gradient(model, 0) + gradient(model, 1)
    loss_of(model, 0).backward()
    optimizer.step(lambda: loss_of(model, 1).backward())
    torch.testing.assert_close(model[0].weight.detach(), weight - RATE * (whole + DECAY * weight * ~largest(weight, 1)))
    torch.testing.assert_close(model[0].weight.grad, whole)


OPTIMIZERS = {
    "sgd": (torch.optim.SGD, 0.5),
    "adam": (torch.optim.Adam, 0.01),
    "adamw": (torch.optim.AdamW, 0.01),
}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("method", "kind"), [(method, kind) for method in ("srste", "bdwp") for kind in OPTIMIZERS] + [("adams", "adamw")]
)
def test_a_step_that_overflowed_changes_no_mask_and_is_not_counted(method: str, kind: str, fused: bool) -> None:
    model = sparse_network(method)
    make, rate = OPTIMIZERS[kind]
    optimizer = make(model.parameters(), lr=rate, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for at, (factor, count) in enumerate([(1.0, 1), (torch.inf, 1), (1.0, 2), (torch.nan, 2)]):
        before = copied(model)
        scaler.scale(own_loss(model, at) * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        assert counters(model) == {count}
        if factor != 1.0:
            assert_same(before, copied(model))
        elif method != "adams":
            assert torch.equal(model.hidden.mask_ff, largest(model.hidden.weight.detach(), 1))
            assert not torch.equal(model.conv.mask_ff, before["conv.mask_ff"])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("unscaled", [False, True])
def test_the_decay_is_not_scaled_by_the_loss(unscaled: bool, fused: bool) -> None:
    model = layer("srste", decay=DECAY)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    wanted = after_step(model, 0)
    scaler.scale(loss_of(model, 0)).backward()
    if unscaled:
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    torch.testing.assert_close(model[0].weight.detach(), wanted)


@pytest.mark.parametrize("method", ["srste", "bank"])
def test_lbfgs_is_refused_where_a_method_changes_gradients(method: str) -> None:
    model = layer(method)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
    before = model[0].weight.detach().clone()
    for _ in range(2):
        with pytest.raises(UserError, match=f"method '{method}': changes gradients before a step, and LBFGS computes"):
            optimizer.step(closure_of(model, optimizer))
    assert torch.equal(model[0].weight, before) and counters(model) == {0}


def test_lbfgs_counts_a_step_of_bdwp_once_however_often_it_looks() -> None:
    model = layer("bdwp")
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.01, max_iter=4)
    looks: list[bool] = []
    held = model[0].mask_ff.clone()

    def closure() -> Tensor:
        looks.append(torch.equal(model[0].mask_ff, held))
        return closure_of(model, optimizer)()

    first = loss_of(model).item()
    optimizer.step(closure)
    assert len(looks) > 1 and all(looks) and counters(model) == {1}
    assert torch.equal(model[0].mask_ff, largest(model[0].weight.detach(), 1))
    assert torch.equal(model[0].mask_bp, largest(model[0].weight.detach(), 0))
    assert loss_of(model).item() < first


def test_adams_needs_an_optimizer_with_a_second_moment() -> None:
    model = sparse_network("adams")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    own_loss(model).backward()
    with pytest.raises(UserError, match="method 'adams': its decay needs the second moment"):
        optimizer.step()


class Wrapping(torch.optim.Optimizer):
    """Steps by another optimizer, twice where it is asked to."""

    def __init__(self, inner: torch.optim.Optimizer, times: int) -> None:
        super().__init__(inner.param_groups, {})
        self.inner, self.times = inner, times

    def step(self, closure: Callable[[], Tensor] | None = None) -> None:
        for _ in range(self.times):
            self.inner.step(closure)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("closed", [False, True], ids=["plain", "closure"])
def test_a_wrapped_optimizer_counts_a_step_once_and_decays_as_often_as_the_inner_one_alone(
    closed: bool, times: int
) -> None:
    model = layer("srste", decay=DECAY)
    optimizer = Wrapping(torch.optim.SGD(model.parameters(), lr=RATE / times), times)
    weight, whole, mask = model[0].weight.detach().clone(), gradient(model), model[0].mask_ff.clone()
    closure = closure_of(model, optimizer)
    closure()
    optimizer.step(closure if closed else None)
    assert counters(model) == {1}
    assert torch.equal(model[0].mask_ff, largest(model[0].weight.detach(), 1))
    if times == 1 or not closed:
        torch.testing.assert_close(model[0].weight.detach(), weight - RATE * (whole + DECAY * weight * ~mask))


class Clearing(Wrapping):
    """Takes the gradients away when it has stepped."""

    def step(self, closure: Callable[[], Tensor] | None = None) -> None:
        super().step(closure)
        self.zero_grad()


def test_gradients_that_a_step_took_away_do_not_come_back() -> None:
    model = layer("srste", decay=DECAY)
    optimizer = Clearing(torch.optim.SGD(model.parameters(), lr=RATE), 1)
    for at in range(2):
        wanted = after_step(model, at)
        loss_of(model, at).backward()
        optimizer.step()
        assert model[0].weight.grad is None
        torch.testing.assert_close(model[0].weight.detach(), wanted)


class Failing(torch.optim.SGD):
    """Raises in a step, the first time."""

    failed = False

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        if not self.failed:
            self.failed = True
            raise ValueError("no luck")
        return super().step(closure)


@pytest.mark.parametrize("where", ["step", "inner step", "closure"])
def test_a_step_that_raised_is_tried_again_as_if_it_were_the_first(where: str) -> None:
    model = layer("srste", decay=DECAY)
    made = (torch.optim.SGD if where == "closure" else Failing)(model.parameters(), lr=RATE)
    optimizer = Wrapping(made, 1) if where == "inner step" else made
    wanted = after_step(model, 0)
    loss_of(model, 0).backward()

    def closure() -> Tensor:
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        optimizer.step(closure if where == "closure" else None)
    assert counters(model) == {0}
    optimizer.step()
    torch.testing.assert_close(model[0].weight.detach(), wanted)
    assert counters(model) == {1} and torch.equal(model[0].mask_ff, largest(model[0].weight.detach(), 1))


def test_an_error_of_one_optimizer_does_not_hide_the_steps_of_others() -> None:
    model, other = layer("srste"), layer("bdwp")
    failing, good = Failing(model.parameters(), lr=RATE), torch.optim.SGD(other.parameters(), lr=RATE)
    loss_of(model).backward()
    loss_of(other).backward()
    with pytest.raises(ValueError, match="no luck"):
        failing.step()
    good.step()
    assert counters(other) == {1} and counters(model) == {0}
    failing.step()
    assert counters(model) == {1}


def test_advance_is_the_step_of_a_loop_without_an_optimizer() -> None:
    model = layer("bdwp")
    own = gradient(model)
    with torch.no_grad():
        model[0].weight -= RATE * own
    advance(model)
    assert counters(model) == {1} and torch.equal(model[0].mask_ff, largest(model[0].weight.detach(), 1))
    with pytest.raises(UserError, match="method 'srste': does more at a step"):
        advance(layer("srste"))


@pytest.mark.parametrize("stale", [False, True])
def test_a_step_with_a_closure_is_recorded_as_one_without(stale: bool) -> None:
    """stale: a gradient is there already that the closure takes away."""
    recorded = []
    for closed in (False, True):
        model = layer("srste")
        model.unused = nn.Parameter(torch.zeros(3))
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
        model.unused.grad = torch.ones(3) if stale else None
        closure = closure_of(model, optimizer)
        with record(model) as step:
            if not closed:
                closure()
            optimizer.step(closure if closed else None)
        recorded.append(step.workload)
    updates = [op for op in recorded[1].ops if op.phase is Phase.UP]
    assert [op.elements for op in updates] == [16 * 8] and recorded[0].ops == recorded[1].ops
    assert recorded[1].capture.notes == ("optimizer AdamW, counted as adamw",)

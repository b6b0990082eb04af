"""Two processes that train one sparse model together: their masks are one after wrapping, and stay one."""

import os
import socket
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing import spawn
from torch.nn.parallel import DistributedDataParallel

from tests.workloads.loops import (
    METHOD_NAMES,
    Network,
    assert_same,
    batch,
    copied,
    counters,
    largest,
    own_loss,
    sparse_network,
)
from workloads import finalize, record
from workloads.op import MatrixOp, Phase, VectorOp
from workloads.recording.own_loop import Step
from workloads.sparsity.masked_weight import masked_weights

RANKS, STEPS, MICRO, RATE, DECAY = 2, 3, 2, 0.5, 2e-4
METHODS = ("srste", "bimask")  # looked at step by step; the others after some
OTHERS = [name for name in METHOD_NAMES if name not in METHODS]
Held = dict[str, Any]


def trained(rank: int, method: str) -> Held:
    """What a process sees of a run: two micro-batches a step, the first of them without an exchange of gradients."""
    model = sparse_network(method, seed=rank)
    held: Held = {"before": copied(model)}
    wrapped = DistributedDataParallel(model)
    held["wrapped"] = copied(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for step in range(STEPS):
        with wrapped.no_sync():
            own_loss(wrapped, at_of(step, 0, rank)).backward()
        held["alone"] = model.hidden.weight.grad.clone()
        own_loss(wrapped, at_of(step, 1, rank)).backward()
        optimizer.step()
        held[step] = copied(model)
        held["together"] = model.hidden.weight.grad.clone()
        optimizer.zero_grad()
    with record(wrapped) as recorded:
        own_loss(wrapped, at_of(STEPS, 0, rank)).backward()
        optimizer.step()
    held["products"] = products_of(recorded)
    held["by itself"] = products_of(by_itself(deepcopy(model), rank))
    held["updated"] = sum(
        op.elements for op in recorded.workload.ops if isinstance(op, VectorOp) and op.phase is Phase.UP
    )
    held["name"] = recorded.workload.model
    held["last"], held["plain"] = copied(model), finalize(wrapped).state_dict()
    return held


def any_method(rank: int, name: str) -> Held:
    """A model of a process's own before it is wrapped, and after some steps."""
    model = sparse_network(name, seed=rank)
    before, wrapped = copied(model), DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(STEPS):
        optimizer.zero_grad()
        own_loss(wrapped, at_of(step, 0, rank)).backward()
        optimizer.step()
    weights = [weight for _, weight in masked_weights(model) if weight.masks is not None]
    fits = all(
        weight.holds(weight.masks.forward, Phase.FF)
        and weight.holds(weight.masks.backward, Phase.BP, weight.masks.permutation)
        for weight in weights
    )
    return {"before": before, "after": copied(model), "fits": fits}


def by_itself(model: Network, rank: int) -> Step:
    with record(model) as recorded:
        own_loss(model, at_of(STEPS, 0, rank)).backward()
    return recorded


def products_of(recorded: Step) -> list[tuple[object, ...]]:
    return [
        (op.layer, op.phase.value, str(op.left.pattern), str(op.right.pattern), op.rows, op.inner, op.cols)
        for op in recorded.workload.ops
        if isinstance(op, MatrixOp)
    ]


def at_of(step: int, micro: int, rank: int) -> int:
    return (step * MICRO + micro) * RANKS + rank


def work(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=RANKS, timeout=timedelta(seconds=60))
    every = {name: any_method(rank, name) for name in OTHERS}
    torch.save({**every, **{method: trained(rank, method) for method in METHODS}}, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Held]:
    folder = tmp_path_factory.mktemp("ranks")
    spawn(work, (free_port(), str(folder)), nprocs=RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


def masks(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if "mask" in name}


@pytest.mark.parametrize("method", METHODS)
def test_wrapping_gives_all_processes_the_masks_of_the_first(ranks: list[Held], method: str) -> None:
    first, second = (each[method] for each in ranks)
    assert not torch.equal(first["before"]["hidden.mask_ff"], second["before"]["hidden.mask_ff"])
    assert_same(first["wrapped"], second["wrapped"])
    assert_same(first["before"], first["wrapped"])


@pytest.mark.parametrize("method", METHODS)
def test_weights_and_masks_stay_the_same_on_all_processes(ranks: list[Held], method: str) -> None:
    first, second = (each[method] for each in ranks)
    assert not torch.equal(first["alone"], second["alone"]) and torch.equal(first["together"], second["together"])
    for step in (*range(STEPS), "last"):
        assert_same(first[step], second[step])
        steps = {int(value) for name, value in first[step].items() if name.endswith("mask_step")}
        assert steps == {STEPS + 1 if step == "last" else step + 1}
    assert any(not torch.equal(value, first[0][name]) for name, value in masks(first[2]).items() if "step" not in name)


@pytest.mark.parametrize("method", METHODS)
def test_masks_are_those_of_the_weights_on_every_process(ranks: list[Held], method: str) -> None:
    for held in (each[method] for each in ranks):
        for step in range(STEPS):
            state = held[step]
            for layer in ("conv", "hidden", "encoder.linear1", "head"):
                assert torch.equal(state[f"{layer}.mask_ff"], largest(state[f"{layer}.weight"], 1))


def test_two_processes_train_as_one_does_on_all_their_batches(ranks: list[Held]) -> None:
    model = sparse_network("srste", seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for step in range(STEPS):
        for micro in range(MICRO):
            for rank in range(RANKS):
                (own_loss(model, at_of(step, micro, rank)) / RANKS).backward()
        optimizer.step()
        optimizer.zero_grad()
        for name, value in masks(copied(model)).items():
            assert torch.equal(value, ranks[0]["srste"][step][name]), name
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), ranks[0]["srste"][step][name])
    assert counters(model) == {STEPS}


@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_a_wrapped_model_is_recorded_on_every_process(ranks: list[Held], method: str) -> None:
    first, second = (each[method] for each in ranks)
    assert first["products"] == second["products"] and first["name"] == second["name"] == "Network"
    assert first["products"] == first["by itself"]
    patterns = {(layer, phase): right for layer, phase, _, right, *_ in first["products"]}
    back = "2:4" if method == "bimask" else "dense"
    for layer in ("hidden", "encoder.linear1", "encoder.linear2", "head"):
        assert (patterns[layer, "FF"], patterns[layer, "BP"], patterns[layer, "WU"]) == ("2:4", back, "dense")
    assert first["updated"] == sum(each.numel() for each in sparse_network(method).parameters())


@pytest.mark.parametrize("method", METHODS)
def test_a_wrapped_model_is_finalized_without_its_wrapper(ranks: list[Held], method: str) -> None:
    for held in (each[method] for each in ranks):
        last, plain = held["last"], held["plain"]
        assert plain.keys() == {name for name in last if "mask" not in name}
        assert torch.equal(plain["hidden.weight"], torch.where(last["hidden.mask_ff"], last["hidden.weight"], 0.0))


def test_a_model_without_its_wrapper_is_what_the_wrapper_has(ranks: list[Held]) -> None:
    model: nn.Module = sparse_network("srste", seed=9)
    model.load_state_dict(ranks[1]["srste"]["last"])
    plain = finalize(model)
    assert torch.equal(plain(batch(7)[0]), model(batch(7)[0]))


@pytest.mark.parametrize("name", OTHERS)
def test_two_processes_agree_under_every_method(ranks: list[Held], name: str) -> None:
    first, second = (each[name] for each in ranks)
    weights = "hidden.weight"
    assert not torch.equal(first["before"][weights], second["before"][weights])
    assert_same(first["after"], second["after"])
    assert not torch.equal(first["after"][weights], first["before"][weights]) and first["fits"] and second["fits"]
    assert {int(value) for key, value in first["after"].items() if key.endswith("mask_step")} == {STEPS}

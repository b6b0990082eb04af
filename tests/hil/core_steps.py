"""Training steps on a small core: layers of any size, with their updates, and values that are drawn."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from simulator.hil.core_session import CoreBackend, CoreSession
from tests.hil import core_runs
from tests.hil.test_golden_session import SCALE, Sizes, drawn, step
from workloads.op import Optimizer, Phase, VectorKind, VectorOp
from workloads.training.backend import Begin, Layer, UpdateRule, layers_of
from workloads.training.elsewhere import constants
from workloads.training.updates import AdamW, Momentum, Update
from workloads.workload import Workload

SMALL = tuple(f"{name}={value}" for name, value in core_runs.SMALL.items())
RULES: Mapping[str, Update] = {"momentum": Momentum(0.03, 1e-2), "adamw": AdamW(0.01, 1e-2)}


def training_step(sizes: Mapping[str, Sizes], optimizer: Optimizer, loose: Mapping[str, int]) -> Workload:
    """A step of layers, with their updates. loose: parameters that no product has, and their sizes."""
    work = step(sizes)
    updates = [update_of(layer, optimizer) for layer in layers_of(work).values()]
    updates += [
        VectorOp(name, Phase.UP, VectorKind.UPDATE, size, 3 * size, 2 * size, 1, optimizer)
        for name, size in loose.items()
    ]
    return replace(work, ops=(*work.ops, *updates))


def update_of(layer: Layer, optimizer: Optimizer) -> VectorOp:
    uses = [op for op in (layer.forward, layer.backward) if op is not None and op.right.pattern.is_grouped]
    size = layer.taps * layer.inputs * layer.outputs
    masks = tuple((op.phase, op.right.pattern) for op in uses)
    return VectorOp(layer.name, Phase.UP, VectorKind.UPDATE, size, 3 * size, 2 * size, 1, optimizer, masks)


def beginning(work: Workload, loose: Mapping[str, int], rng: Generator) -> Begin:
    """Drawn weights."""
    weights = {
        layer.parameter: drawn(rng, layer.taps * layer.inputs, layer.outputs).astype(np.float32) * np.float32(1.0001)
        for layer in layers_of(work).values()
    }
    weights |= {name: rng.standard_normal(size).astype(np.float32) for name, size in loose.items()}
    return Begin(work, weights, {}, UpdateRule(optimizer_of(work), SCALE))


def optimizer_of(work: Workload) -> Optimizer:
    found = next(op.optimizer for op in work.ops if isinstance(op, VectorOp))
    assert found is not None
    return found


def session_of(work: Workload, loose: Mapping[str, int], rng: Generator, settings: tuple[str, ...]) -> CoreSession:
    """A session whose golden step, and the simulator, check whatever it does."""
    return CoreSession(beginning(work, loose, rng), CoreBackend(settings=settings))


def drive(session: CoreSession, work: Workload, loose: Mapping[str, int], rng: Generator, number: int) -> None:
    """One step: every product and every update."""
    layers = layers_of(work)
    for name, layer in layers.items():
        left = drawn(rng, layer.forward.rows, layer.forward.inner)
        session.forward(name, left)
        if layer.backward is not None:
            session.input_gradient(name, drawn(rng, layer.backward.rows, layer.backward.inner))
        session.weight_gradient(name, left, drawn(rng, layer.forward.rows, layer.outputs))
    told = constants(RULES[optimizer_of(work).value], SCALE, number)
    for layer in layers.values():
        session.update(layer.parameter, None, told)
    for name, size in loose.items():
        session.update(name, rng.standard_normal(size).astype(np.float32), told)

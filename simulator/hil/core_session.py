"""Backend `core`: every product, every mask and every update of a training on the core's hardware.

The host lays activations and gradients out in DRAM, and reads results; weights, states and copies stay there. Beside it
a golden step goes on, from what the hardware gave to the host: after each op the two DRAMs are held against each other,
and the op's cycles and waits against the simulator's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import final

import numpy as np

from rtl.core.bound import NOTHING
from rtl.core.compiled import CarriesOut, compiled_core
from rtl.core.content import Matrices
from rtl.core.core import CoreLayout
from rtl.core.feeding import Regions
from rtl.formats import FP16, Bits
from rtl.lanes import CONSTANTS, STATE, constants
from simulator.arch.machine import load_machine
from simulator.hil.core import CoreMachine
from simulator.hil.core_dram import Indices, Lines, StepDram
from simulator.hil.core_step import Copied, StepOp
from simulator.hil.golden_session import GoldenSession, bits_of, half_bits, singles
from simulator.library import simulate
from workloads.errors import UserError
from workloads.op import MatrixOp, Phase, VectorKind, VectorOp
from workloads.training.backend import CYCLES, OPS, Backend, Begin, Half, Session, Single, layers_of

# An update that changes nothing, so that SORE makes the copies which a training begins with: what is not named is 0.
# AdamW takes decay times a weight from it: with +0 a weight of -0 would become +0. (It still does in a training that is
# gone on with where the first state of that weight is below 0: no update leaves such a weight.)
NEUTRAL: Mapping[str, Mapping[str, float]] = {
    "momentum": {"momentum": 1.0},
    "adamw": {"beta1": 1.0, "beta2": 1.0, "root_correction": 1.0, "epsilon": 1.0, "decay": -0.0},
}


@final
@dataclass(frozen=True)
class CoreBackend(Backend):
    """Found as `core`. machine: a registered one, or a machine file, that the core can be. settings: texts such as
    "array.rows=4". made: the hardware of a layout, which on a board has cycles of its own."""

    machine: str = "core"
    settings: tuple[str, ...] = ()
    made: Callable[[CoreLayout], CarriesOut] = compiled_core
    name: str = "core"

    def on(self, machine: str) -> Backend:
        return replace(self, machine=machine)

    def begin(self, what: Begin) -> Session:
        """Raises UserError for a step that the core cannot do, and for a machine that is none."""
        return CoreSession(what, self)


@final
@dataclass
class Counted:
    """What an op did so far. Not frozen: it counts.

    simulated: cycles that the simulator has for it. other_cycles: calls that took other ones. waits: cycles in which
    its lead engine waited for a buffer, counted for each buffer; other_waits: counts of a buffer that are not the
    simulator's.
    """

    calls: int = 0
    cycles: int = 0
    simulated: int = 0
    other_cycles: int = 0
    waits: int = 0
    other_waits: int = 0


@final
@dataclass
class Updated:
    """An update and its parameters, each with its columns in the update's row; the weight of a layer is alone, with
    rows. Not frozen: gradients of parameters wait for each other."""

    op: StepOp
    shape: tuple[int, int]
    columns: Mapping[str, slice]
    gradients: dict[str, Single] = field(default_factory=dict)


@final
class CoreSession(Session):
    """Not frozen: it holds a DRAM, and that of the golden step."""

    def __init__(self, what: Begin, backend: CoreBackend) -> None:
        self.layers = layers_of(what.step)
        self._optimizer = what.rule.optimizer.value
        machine = load_machine(backend.machine, backend.settings)
        self.machine = CoreMachine(machine.spec, self._optimizer, backend.made)
        dram = self.machine.spec.dram  # which refuses what is no core
        if self.machine.form is not FP16:
            raise UserError(f"core: core.format is {self.machine.form.name}; a training has fp16 operands")
        assert dram is not None
        self._golden = GoldenSession(what)
        self._regions = Regions(min(1 << 32, int(dram.capacity_gib * (1 << 30))))
        self._counted: dict[tuple[str, Phase], Counted] = {}
        self._ops = {
            (each.op.layer, each.op.phase): StepOp(self.machine, each, self._regions)
            for each in simulate(machine, None, what.step, dense=False).schedule
            if isinstance(each.op, MatrixOp) or (isinstance(each.op, VectorOp) and each.op.kind is VectorKind.UPDATE)
        }
        self._shapes = {name: each.shape for name, each in what.weights.items()}
        self._updates = dict(self._shared())
        self._begin(what)

    def forward(self, layer: str, left: Half) -> Half:
        return self._rounded(layer, Phase.FF, left, self._golden.forward(layer, left))

    def input_gradient(self, layer: str, left: Half) -> Half:
        return self._rounded(layer, Phase.BP, left, self._golden.input_gradient(layer, left))

    def weight_gradient(self, layer: str, left: Half, right: Half) -> Single:
        op = self._ops[layer, Phase.WU]
        golden = bits_of(self._golden.weight_gradient(layer, left, right))
        self._dram.put(op.right.at, op.right.of(half_bits(right), NOTHING))
        return singles(self._product(op, half_bits(left).T, golden))

    def update(self, parameter: str, gradient: Single | None, constants_: Mapping[str, float]) -> None:
        self._golden.update(parameter, gradient, constants_)
        shared = self._updates[parameter]
        if gradient is not None:
            shared.gradients[parameter] = gradient
            if len(shared.gradients) < len(shared.columns):
                return
            row = np.concatenate([shared.gradients.pop(name).reshape(1, -1) for name in shared.columns], axis=1)
            words = shared.op.gradient(row.shape[1])
            self._dram.put(words.at, words.of(bits_of(row)))
        told = constants(self._optimizer, constants_)
        self._update(shared, [told[name] for name in CONSTANTS[self._optimizer]])

    def weight(self, parameter: str) -> Single:
        """As `Session.weight`; of parameters that share an update, once all of them were updated."""
        return self._kept(parameter, 0)

    def states(self, parameter: str) -> Mapping[str, Single]:
        return {name: self._kept(parameter, 1 + number) for number, name in enumerate(STATE[self._optimizer])}

    def figures(self) -> Mapping[str, object]:
        rows = [
            {"layer": layer, "phase": phase.value, **asdict(each)} for (layer, phase), each in self._counted.items()
        ]
        total = {name: sum(getattr(each, name) for each in self._counted.values()) for name in asdict(Counted())}
        return {
            OPS: rows,
            CYCLES: total["cycles"],
            "array": self.machine.layout.shape.array.title,
            "clock_mhz": float(self.machine.spec.clock_mhz),
            "simulated_cycles": total["simulated"],
            "ops_with_other_cycles": total["other_cycles"],
            "other_waits": total["other_waits"],
            "dram_bytes": self._regions.used,
            "words_held_against_golden": self._dram.compared,  # all were the same, or the training would have ended
        }

    def close(self) -> None:
        self._ops.clear()

    # how it begins

    def _shared(self) -> Iterator[tuple[str, Updated]]:
        """The update of every parameter. Raises UserError for one that the step does not update."""
        names = dict[tuple[str, Phase], list[str]]()
        owners = {layer.parameter: layer.name for layer in self.layers.values()}
        for name in self._shapes:
            # as the recorder calls it: the layer, the parameter, or the module that has it; the top one is "model"
            module = name.rpartition(".")[0]
            of = (owners.get(name, name), module or f"model.{name}", module or "model")
            found = next(((each, Phase.UP) for each in of if (each, Phase.UP) in self._ops), None)
            if found is None:
                raise UserError(f"core: parameter '{name}' has no update in the recorded step")
            names.setdefault(found, []).append(name)
        for key, shared in names.items():
            shapes = [(1, 1, *self._shapes[name])[-2:] for name in shared]
            ends = np.cumsum([0, *(shape[1] for shape in shapes)]).tolist()
            columns = {name: slice(*place) for name, place in zip(shared, pairwise(ends), strict=True)}
            update = self._ops[key].op
            assert isinstance(update, VectorOp) and update.elements == shapes[0][0] * ends[-1], key
            yield from dict.fromkeys(shared, Updated(self._ops[key], (shapes[0][0], ends[-1]), columns)).items()

    def _begin(self, what: Begin) -> None:
        """Lay out weights and states, and let the hardware make the copies."""
        updates = {id(each): each for each in self._updates.values()}.values()
        for op in self._ops.values():
            if op.op.phase is not Phase.UP:  # whose updates look for what these load and store
                op.place()
        for shared in updates:
            shared.op.place(0 if shared.op.op.layer in self.layers else shared.shape[1])
        self._dram = StepDram(self._regions.used // 8)
        for op in self._ops.values():
            at = op.scratch
            self._dram.expect(at, np.zeros(len(at), np.uint64), np.uint64(0))
        for shared in updates:
            states = {name: what.states.get(name, {}) for name in shared.columns}
            fields = [{name: what.weights[name] for name in shared.columns}]
            for of in STATE[self._optimizer]:
                fields.append({name: each[of] for name, each in states.items() if of in each})
            self._dram.put(*self._masters(shared, fields))
        names = CONSTANTS[self._optimizer]
        told = bits_of(np.array([NEUTRAL[self._optimizer].get(name, 0.0) for name in names], np.float32)).tolist()
        for layer in self.layers.values():
            for phase in self._copied(layer.name):
                copied = self._copy(layer.name, phase)
                self._dram.put(copied.at[copied.constant], copied.words[copied.constant])
            self._update(self._updates[layer.parameter], told)
        self._counted.clear()

    # ops

    def _rounded(self, layer: str, phase: Phase, left: Half, golden: Half) -> Half:
        found = self._product(self._ops[layer, phase], half_bits(left), half_bits(golden))
        return found.astype(np.uint16).view(np.float16)

    def _product(self, op: StepOp, left: Bits, golden: Bits) -> Bits:
        """A product whose right operand is in place. golden: its results."""
        self._dram.put(op.left.at, op.left.of(left))
        self._dram.expect(op.results.at, op.results.of(golden), op.results.read)
        self._run(op)
        return op.results.matrix(self._dram.hardware, (golden.shape[0], golden.shape[1]))

    def _update(self, shared: Updated, told: Sequence[int]) -> None:
        """An update, for which the golden step has gone before."""
        names = shared.columns
        states = {name: self._golden.states(name) for name in names}
        fields = [{name: self._golden.weight(name) for name in names}]
        fields += [{name: states[name][of] for name in names} for of in STATE[self._optimizer]]
        self._dram.expect(*self._masters(shared, fields))
        for phase in self._copied(shared.op.op.layer):
            copied = self._copy(shared.op.op.layer, phase)
            self._dram.expect(copied.at, copied.words, copied.read)
        self._run(shared.op, told)

    def _run(self, op: StepOp, told: Sequence[int] = ()) -> None:
        cycles, waits = op.run(self._dram.hardware, told)
        self._dram.check(f"{op.op.layer} {op.op.phase}")
        counted = self._counted.setdefault((op.op.layer, op.op.phase), Counted())
        counted.calls += 1
        counted.cycles += cycles
        counted.simulated += op.simulated[0]
        counted.other_cycles += cycles != op.simulated[0]
        counted.waits += sum(mine for mine, _ in waits.values())
        counted.other_waits += sum(mine != other for mine, other in waits.values())

    def _copied(self, layer: str) -> list[Phase]:
        """The phases whose products multiply by a weight."""
        return [phase for phase in (Phase.FF, Phase.BP) if layer in self.layers and (layer, phase) in self._ops]

    def _copy(self, layer: str, phase: Phase) -> Copied:
        """The golden copy of a weight, as it should lie in DRAM."""
        op, right = self._ops[layer, phase], self._golden.operand(layer, phase)
        return op.copied(Matrices(right, right, self._golden.copies(layer, phase), op.starts))

    def _masters(self, shared: Updated, fields: Sequence[Mapping[str, Single]]) -> tuple[Indices, Lines]:
        """Where weights and states lie, and their words. fields: by name, weights first; zeros where there are none."""
        words, of = shared.op.masters
        given = np.zeros((len(fields), *shared.shape), np.uint32)
        for number, values in enumerate(fields):
            for name, each in values.items():
                given[number, :, shared.columns[name]] = bits_of(each)
        flat = words._replace(rows=np.where(words.rows >= 0, words.rows + of[:, None] * shared.shape[0], -1))
        return words.at, flat.of(given.reshape(-1, shared.shape[1]))

    def _kept(self, parameter: str, number: int) -> Single:
        shared = self._updates[parameter]
        words, of = shared.op.masters
        inside = of == number
        found = type(words)(*(each[inside] for each in words)).matrix(self._dram.hardware, shared.shape)
        return singles(found[:, shared.columns[parameter]].reshape(self._shapes[parameter]))

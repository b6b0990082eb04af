"""The mesh: rows and columns of PEs, each connected to its neighbours, nothing else."""

from amaranth import Elaboratable, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In, Member, Out

from rtl.control import pe_control
from rtl.parameters import Parameters
from rtl.pe import SparsePE
from rtl.placing import Place, as_submodule


def mesh_ports(p: Parameters) -> dict[str, Member]:
    """groups, controls: of every row, from the west. weights, seeds: of every column, from the north. totals: what
    leaves every column in the south."""
    return {
        "groups": In(p.group_bits).array(p.rows),
        "controls": In(pe_control(p)).array(p.rows),
        "weights": In(p.weight_bits).array(p.cols),
        "seeds": In(p.accumulator.bits).array(p.cols),
        "totals": Out(p.accumulator.bits).array(p.cols),
    }


class ClosedMesh(wiring.Component):
    """The ports of a mesh that somebody else makes, as an instance of a module `mesh`."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(mesh_ports(parameters))

    def elaborate(self, platform: object) -> Elaboratable:
        m, ports = Module(), {}
        for path, member, port in self.signature.flatten(self):
            way = "i" if member.flow is Flow.In else "o"
            ports[f"{way}_{'__'.join(map(str, path))}"] = Value.cast(port)
        m.submodules.inside = Instance("mesh", **ports)
        return m


class Mesh(wiring.Component):
    """The PEs between `mesh_ports`, which are wires to them; what a PE gives comes from its registers alone."""

    def __init__(self, parameters: Parameters, place: Place = as_submodule) -> None:
        self.parameters, self.place = parameters, place
        # for diagrams, once elaborated: what is in the input register of each PE
        self.inside: dict[tuple[int, int], Value] = {}
        super().__init__(mesh_ports(parameters))

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        weights: list[Value] = [self.weights[c] for c in range(p.cols)]
        sums: list[Value] = [self.seeds[c] for c in range(p.cols)]
        for r in range(p.rows):
            group, control = self.groups[r], self.controls[r]
            for c in range(p.cols):
                made = {
                    "east_group": Signal(p.group_bits, name=f"group_{r}_{c}"),
                    "east_control": Signal(pe_control(p), name=f"control_{r}_{c}"),
                    "south_weight": Signal(p.weight_bits, name=f"weight_{r}_{c}"),
                    "south_sum": Signal(p.accumulator.bits, name=f"sum_{r}_{c}"),
                }
                given = {"west_group": group, "west_control": control, "north_weight": weights[c], "north_sum": sums[c]}
                self.place(m, f"pe_{r}_{c}", SparsePE, p, given, made)
                group, control = made["east_group"], made["east_control"]
                weights[c], sums[c] = made["south_weight"], made["south_sum"]
                self.inside[r, c] = control
        m.d.comb += [self.totals[c].eq(sums[c]) for c in range(p.cols)]
        return m

"""Names of layers from those of nodes: constant folding renames initializers, and nodes keep the modules they are of.

torch writes `/layer1/layer1.0/conv1/Conv` for the convolution of module `layer1.0.conv1`, or notes the module beside
the node. A module that multiplies several times, as attention does, has the operator behind its name; a name that is
there already gets a number.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from workloads.errors import UserError
from workloads.onnx_file.graph import Node
from workloads.onnx_file.operators import PRODUCTS
from workloads.op import name_fault

TOP = "model"


def layer_names(path: Path, nodes: Sequence[Node]) -> list[str]:
    """The layer of every node: its own where it multiplies, else that of its module. Raises UserError for a name that
    cannot be one."""
    modules = [_module(node) for node in nodes]
    multiplying = [node.operator in PRODUCTS for node in nodes]
    times = Counter(module for module, each in zip(modules, multiplying, strict=True) if each)
    taken, names = set[str](), []
    for node, module, multiplies in zip(nodes, modules, multiplying, strict=True):
        name = module or TOP
        if multiplies:
            name = module if module and times[module] == 1 else ".".join(filter(None, (module, _own(node))))
            name = _free(name, taken)
            taken.add(name)
        if wrong := name_fault(name):
            raise UserError(f"{path}: {node.operator}: {wrong}")
        for each in (*node.inputs, *node.outputs):
            if each and (wrong := name_fault(each)):
                raise UserError(f"{path}: {node.operator}: {wrong}")
        names.append(name)
    return names


def _module(node: Node) -> str:
    """The module that a node stands in, written with dots; empty at the top of the model."""
    if node.module or not node.name.startswith("/"):
        return node.module or ("" if node.operator in node.name else node.name)
    found: list[str] = []
    for part in node.name.strip("/").split("/")[:-1]:
        if found and part.startswith(f"{found[-1]}."):  # a container repeats its own name
            found.pop()
        found.append(part)
    return ".".join(found)


def _own(node: Node) -> str:
    """The node's own name in its module, such as MatMul_1."""
    return node.name.rpartition("/")[2] or node.operator


def _free(name: str, taken: set[str]) -> str:
    number, found = 2, name
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found

"""Recorder of one forward and backward pass: every matrix product and all vector work, in the order they ran.

It stands between torch and its operators (TorchDispatchMode), so it sees what really ran, with the values, whatever the
model is written with; under FakeTensorMode it sees shapes only. An operator of the backward pass belongs to the layer
whose forward operator made the autograd node that is running: both carry the node's sequence number. Activation
checkpointing runs forward operators again inside the backward pass; they are recorded as FF once more.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, final

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.autograd.graph import Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from workloads.op import Op, Phase, VectorKind
from workloads.training.operators import (
    NO_WORK,
    Call,
    bias_gradient_op,
    bias_op,
    is_copy,
    is_work,
    kind_of,
    refuse_hidden,
    refuse_hidden_parameters,
    refuse_opaque,
    tensors_in,
    vector_op,
)
from workloads.training.products import Multiplied, Product, backward_products, forward_product, is_product
from workloads.training.tensor_names import Key, TensorNames

UNSEEN = ("prim", "profiler")  # namespaces whose operators are no work
DERIVING = ("mul", "where", "masked_fill", "_to_copy", "clone", "bitwise_and")  # masks a weight or changes its format
Watcher = Callable[[Product], Product]


@final
class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records while it is entered. `watch` sees every product with its tensors and may add to its op."""

    def __init__(self, modules: Sequence[tuple[str, nn.Module]], watch: Watcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Op] = []
        self._names = TensorNames()
        self._watch = watch
        self._modules = modules
        self._hooks: list[RemovableHandle] = []
        self._layers: list[str] = []
        self._layer_of: dict[int, str] = {}
        self._forward_of: dict[int, list[Multiplied]] = {}
        self._saved: set[Key] = set()
        self._saving = torch.autograd.graph.saved_tensors_hooks(self._save, lambda tensor: tensor)
        for _, module in modules:
            refuse_hidden_parameters(module)
            self._names.register(module)

    @property
    def saved_elements(self) -> int:
        """Elements kept for the backward pass: the same data once, parameters and what is made from them left out."""
        kept = [key for key in self._saved if key[0] not in self._names.parameters]
        return sum(math.prod(size for _, size in key[-1]) for key in kept)

    @property
    def layer_of_parameter(self) -> Mapping[str, str]:
        """The layer that multiplies by a parameter, by the parameter's name."""
        found: dict[str, str] = {}
        for product in (product for products in self._forward_of.values() for product in products):
            if product.weight:
                found.setdefault(product.weight, product.layer)
        return found

    def __enter__(self) -> Self:
        for prefix, root in self._modules:
            for name, module in root.named_modules():
                self._follow(".".join(part for part in (prefix, name) if part), module)
        self._saving.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        self._saving.__exit__(kind, error, trace)
        for hook in self._hooks:
            hook.remove()

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func.namespace in UNSEEN:
            return func(*args, **(kwargs or {}))
        node = self._backward_node()
        products = self._products(Call(func, args, None), node)
        result = func(*args, **(kwargs or {}))
        call = Call(func, args, result)
        if products:
            self._record_products(call, products)
        else:
            self._record_vector(call, node)
        self._follow_data(call)
        return result

    def _follow(self, name: str, module: nn.Module) -> None:
        shown = name or "model"
        self._hooks.append(module.register_forward_pre_hook(lambda *_: self._layers.append(shown)))
        self._hooks.append(module.register_forward_hook(lambda *_: _ignore(self._layers.pop()), always_call=True))

    def _save(self, tensor: Tensor) -> Tensor:
        if torch._C._current_autograd_node() is None:  # what a checkpoint makes again is not kept until then
            self._saved.add(self._names.key(tensor))
        return tensor.detach()

    def _backward_node(self) -> Node | None:
        """The autograd node that is running; None in the forward pass, and where a checkpoint runs it again."""
        node = torch._C._current_autograd_node()
        return None if self._layers or torch.is_grad_enabled() else node

    def _layer(self, node: Node | None) -> str:
        if node is not None:
            return self._layer_of.get(int(node._sequence_nr()), "model")
        layer = self._layers[-1] if self._layers else "model"
        self._layer_of.setdefault(self._sequence(), layer)
        return layer

    def _sequence(self) -> int:
        """The number of the node that autograd made for the operator now running forward."""
        return int(torch._C._autograd._get_sequence_nr()) - 1

    def _products(self, call: Call, node: Node | None) -> list[Product]:
        layer = self._layer(node)
        refuse_opaque(call, layer)
        if not is_product(call):
            return []
        for tensor in call.inputs:
            refuse_hidden(tensor, layer)
        if node is None:
            product = forward_product(call, layer, self._names)
            multiplied = Multiplied(layer, product.weight, (product.left_key, product.right_key))
            self._forward_of.setdefault(self._sequence(), []).append(multiplied)
            return [product]
        forward = self._forward_of.get(int(node._sequence_nr()), [])
        return backward_products(call, layer, self._names, forward)

    def _record_products(self, call: Call, products: list[Product]) -> None:
        self.ops.extend(self._watch(product).op for product in products)
        layer = products[0].op.layer
        if call.name in ("addmm", "baddbmm") or (call.name == "convolution" and call.args[2] is not None):
            self.ops.append(bias_op(call.outputs[0], layer))
        if call.name == "convolution_backward" and call.args[10][2]:  # type: ignore[index]
            gradient = call.inputs[0]
            self.ops.append(bias_gradient_op(gradient, gradient.shape[1], layer))

    def _record_vector(self, call: Call, node: Node | None) -> None:
        if self._made_from_parameter(call) or not is_work(call):
            return
        self.ops.append(vector_op(call, self._layer(node), Phase.FF if node is None else Phase.BP))

    def _made_from_parameter(self, call: Call) -> bool:
        if call.name not in DERIVING or not call.outputs:
            return False
        return self._source_parameter(call, call.outputs[0]) is not None

    def _source_parameter(self, call: Call, made: Tensor) -> Tensor | None:
        """The parameter that an operator changed element by element: masked, cast, scaled or rounded, but not added to
        data or multiplied by it. A mask is data as far as torch knows."""
        if not made.dtype.is_floating_point or call.name in NO_WORK or kind_of(call.name) is not VectorKind.ELEMENTWISE:
            return None
        large = {tensor: self._names.parameter(tensor) for tensor in call.inputs if tensor.shape == made.shape}
        found = {name: tensor for tensor, name in large.items() if name}
        if len(found) != 1 or (None in large.values() and call.name not in DERIVING):
            return None
        return next(iter(found.values()))

    def _follow_data(self, call: Call) -> None:
        if torch._C._current_autograd_node() is not None and self._backward_node() is None:
            self._names.made_again(call.outputs)
        if call.func._schema.is_mutable:
            for tensor in call.outputs:
                self._names.written(tensor)
            return
        made = call.outputs[0] if call.outputs else None
        if made is None or call.func.is_view:
            return
        source = None if is_product(call) else self._source_parameter(call, made)
        if source is not None:
            self._names.derive(made, source)
        elif is_copy(call) and tensors_in(call.args):
            self._names.copied(made, call.inputs[0])


def _ignore(_: object) -> None:
    """A forward hook that returns None leaves the output alone."""

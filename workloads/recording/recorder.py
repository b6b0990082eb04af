"""Recorder of a step: every matrix product and all vector work, in the order they ran.

It stands between torch and its operators (TorchDispatchMode), so it sees what really ran, with the values, whatever the
model is written with; under FakeTensorMode it sees shapes only. An operator of the backward pass belongs to the layer
whose forward operator made the autograd node that is running: both carry the node's sequence number. Activation
checkpointing runs forward operators again inside the backward pass; they are recorded as FF once more, marked `again`.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Self, final
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.autograd.graph import Node
from torch.backends import mha, mkldnn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import checkpoint
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from workloads.op import Op, Phase
from workloads.recording.calls import Call, functional_name, tensors_in
from workloads.recording.convolutions import backward_convolution, forward_convolution
from workloads.recording.cures import refused
from workloads.recording.decompositions import OWN
from workloads.recording.follow import Follower
from workloads.recording.grouped import ASSUMED, expert_result
from workloads.recording.hidden import refuse_hidden, refuse_hidden_parameters
from workloads.recording.operators import Sort, sort_of, splits
from workloads.recording.products import Multiplied, Product, backward_products, forward_products, remembered
from workloads.recording.tensor_names import Key, is_fake, storage_of
from workloads.recording.traffic import bias_gradient_op, bias_op, is_work, vector_op
from workloads.sparsity.masked_weight import masked_weights

CHECKPOINT = checkpoint.__file__
UNSEEN = ("prim", "profiler")  # namespaces whose operators are no work
EXCHANGE = "c10d"  # the one of what processes exchange, which is no work of a step of one of them
Watcher = Callable[[Product], Product]


@final
class Recorder:
    """Records while it is entered. `watch` sees every product with its tensors and may add to its op.

    saving: whether what is kept for the backward pass is counted, which torch.func does not bear. in_loop: it stands
    around a loop of the user's, so what runs outside the modules and their backward pass is work only where it needs
    gradients, as a loss does; metrics, clipping, the optimizer itself and the making of batches are not.
    """

    def __init__(
        self, modules: Sequence[tuple[str, nn.Module]], watch: Watcher, saving: bool = True, in_loop: bool = False
    ) -> None:
        self.ops: list[Op] = []
        self._saving = saving
        self._in_loop = in_loop
        self.assumed: set[str] = set()  # what is not known of the step without its values, in words
        self._follower = Follower()
        self._names = self._follower.names
        self._watch = watch
        self._modules = modules
        self._hooks: list[RemovableHandle] = []
        self._layers: list[str] = []
        self._layer_of: dict[int, str] = {}
        self._forward_of: dict[int, list[Multiplied]] = {}
        self._saved: set[Key] = set()
        self._sums: set[Key] = set()  # gradients of a shared weight, one for each of a batch, that torch will add up
        self._open = ExitStack()
        weights = [weight for _, module in modules for _, weight in masked_weights(module)]
        masks = [buffer for weight in weights for buffer in (weight.buffer("ff"), weight.buffer("bp"))]
        self._masks = {storage_of(buffer) for buffer in masks if buffer is not None}
        for _, module in modules:
            refuse_hidden_parameters(module)
            self._names.register(module)

    @property
    def saved_elements(self) -> int:
        """Elements kept for the backward pass: the same data once, parameters, what is made from them, and their masks
        left out."""
        kept = [key for key in self._saved if key[0] not in self._names.parameters and key[0] not in self._masks]
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
        self._open.enter_context(nothing_fused(module for _, module in self._modules))
        if self._saving:
            self._open.enter_context(torch.autograd.graph.saved_tensors_hooks(self._save, lambda tensor: tensor))
        self._open.enter_context(Dispatch(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        for hook in self._hooks:
            hook.remove()

    def run(self, call: Call) -> object:
        """Run one operator and record it. Raises UserError for one that is not known."""
        node = self._backward_node()
        products = self._products(call, node)
        result = self._result(call)
        done = Call(call.func, call.args, result, call.more)
        if products:
            self._record_products(done, products)
        else:
            self._record_vector(done, node)
        if torch._C._current_autograd_node() is not None and node is None:
            self._names.made_again(done.outputs)
        self._follower.follow(done)
        return result

    def is_outside(self, func: OpOverload, args: Iterable[object]) -> bool:
        """Whether an operator is no work of the step."""
        if func.namespace in UNSEEN or (self._in_loop and func.namespace == EXCHANGE):
            return True
        if not self._in_loop or self._layers or torch._C._current_autograd_node() is not None:
            return False
        return not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors_in(args)))

    def refuse(self, func: OpOverload) -> None:
        """Raises UserError: the operator is not known."""
        raise refused(str(func.namespace), functional_name(func), self._layer(self._backward_node()))

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
        unsure = node is not None and (bool(self._layers) or torch.is_grad_enabled())
        return None if unsure and _runs_again() else node

    def _layer(self, node: Node | None) -> str:
        if node is not None:
            return self._layer_of.get(int(node._sequence_nr()), "model")
        layer = self._layers[-1] if self._layers else "loss" if self._in_loop else "model"
        self._layer_of.setdefault(self._sequence(), layer)
        return layer

    def _sequence(self) -> int:
        """The number of the node that autograd made for the operator now running forward."""
        return int(torch._C._autograd._get_sequence_nr()) - 1

    def _products(self, call: Call, node: Node | None) -> list[Product]:
        layer = self._layer(node)
        if sort_of(call.func) is not Sort.PRODUCT:
            return []
        for tensor in call.inputs:
            refuse_hidden(tensor, layer)
        forward = self._forward_of.get(int(node._sequence_nr()), []) if node is not None else []
        if call.name == "convolution_backward":
            return backward_convolution(call, layer, self._names, forward)
        if call.name == "convolution":
            products = [forward_convolution(call, layer, self._names, again=node is not None)]
        elif node is None:
            products = forward_products(call, layer, self._names)
        else:
            return backward_products(call, layer, self._names, forward)
        if node is None:
            seen = [remembered(product, self._names) for product in products]
            self._forward_of.setdefault(self._sequence(), []).extend(seen)
        return products

    def _result(self, call: Call) -> object:
        if call.name == "_grouped_mm" and is_fake(call.inputs[0]):
            self.assumed.add(ASSUMED)
            return expert_result(call)
        return call.func(*call.args, **call.more)

    def _record_products(self, call: Call, products: list[Product]) -> None:
        again = self._is_again()
        for product in products:
            op = self._watch(product).op
            self.ops.append(replace(op, again=again))
            if product.shared and op.phase is Phase.WU:
                self._sums.add(self._names.key(call.outputs[0]))
        layer = products[0].op.layer
        if call.name in ("addmm", "baddbmm", "addmv", "addbmm") or (
            call.name == "convolution" and call.args[2] is not None
        ):
            self.ops.append(bias_op(call.outputs[0], layer, again))
        if call.name == "convolution_backward" and call.args[10][2]:  # type: ignore[index]
            gradient = call.inputs[0]
            self.ops.append(bias_gradient_op(gradient, gradient.shape[1], layer))

    def _record_vector(self, call: Call, node: Node | None) -> None:
        if sort_of(call.func) is not Sort.VECTOR or not is_work(call) or self._follower.is_free(call):
            return
        if call.name == "sum" and self._names.key(call.inputs[0]) in self._sums:
            return  # the reduction of the one product that was recorded in its place
        phase = Phase.FF if node is None else Phase.BP
        self.ops.append(vector_op(call, self._layer(node), phase, self._is_again()))

    def _is_again(self) -> bool:
        """Whether a forward operator runs inside the backward pass."""
        return torch._C._current_autograd_node() is not None and self._backward_node() is None


@final
class Dispatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands every operator to the recorder: as it is, or as the operators that it is made of."""

    supports_higher_order_operators = True  # so that they are refused by name, where torch knows this mark

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        more = kwargs or {}
        if not isinstance(func, OpOverload):
            raise refused("higher_order", str(func.__name__), "model")
        if self._recorder.is_outside(func, (*args, *more.values())):
            return func(*args, **more)
        match sort_of(func):
            case Sort.OWN:
                with self:
                    return OWN[functional_name(func)](*args, **more)
            case Sort.SPLIT:
                with self:
                    if func._can_decompose():
                        return func.decompose(*args, **more)
                    return splits()[func](*args, **more)
            case Sort.UNKNOWN:
                self._recorder.refuse(func)
        return self._recorder.run(Call(func, args, more=more))


@contextmanager
def nothing_fused(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Attention, encoder layers and recurrent layers run as products, not as one operator that hides them."""
    fast = mha.get_fastpath_enabled()
    recurrent = any(isinstance(each, nn.RNNBase) for one in modules for each in one.modules())
    mha.set_fastpath_enabled(False)
    try:
        with catch_warnings(), sdpa_kernel(SDPBackend.MATH):
            simplefilter("ignore", UserWarning)  # the flags name a GPU that is not here
            with mkldnn.flags(enabled=False) if recurrent else nullcontext():
                yield
    finally:
        mha.set_fastpath_enabled(fast)


def _runs_again() -> bool:
    """Whether activation checkpointing is running the forward pass again: its code is then on the stack. Gradients of
    gradients are taken with gradients on too, and inside a module's forward pass."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == CHECKPOINT:
            return True
        frame = frame.f_back
    return False


def _ignore(_: object) -> None:
    """A forward hook that returns None leaves the output alone."""

"""What cannot be recorded, by the operator that torch runs, and what helps there."""

import torch

from workloads.errors import UserError

# The first row with a part that an operator's name begins with says what helps; behind a star, one that it holds.
CURES = (
    (
        "_scaled_dot_product *_attention_forward *_attention_backward",
        "is attention in one operator; leave out the sdpa_kernel(...) around it, or write sdpa_kernel(SDPBackend.MATH)",
    ),
    (
        "mkldnn_rnn _cudnn_rnn miopen_rnn _lstm_mps lstm_mps _thnn_ quantized_lstm quantized_gru",
        "is a recurrent layer in one operator; run it under torch.backends.mkldnn.flags(enabled=False), or use "
        "torch.nn.LSTM, GRU or RNN, for which that is done here",
    ),
    (
        "_transformer_encoder_layer_fwd _native_multi_head_attention _transform_bias_rescale_qkv _triton_",
        "is a whole layer in one operator; call torch.backends.mha.set_fastpath_enabled(False) before it",
    ),
    (
        "flex_attention",
        "is attention that only a compiler can lay out; use torch.nn.functional.scaled_dot_product_attention",
    ),
    (
        "linalg_ _linalg_ cholesky _cholesky triangular_solve ormqr geqrf lu_unpack _compute_linear_combination",
        "solves or factorises a matrix, which is no product and no work on elements; leave it out of the recorded step",
    ),
    (
        "quantize_ fake_quantize _fake_quantize dequantize int_repr _int_mm _weight_int _dyn_quant fbgemm_ _scaled_mm "
        "_scaled_grouped_mm _mixed_dtypes _convert_weight quantized_ choose_qparams",
        "belongs to a quantised model; record the module before it is quantised",
    ),
    (
        "_sparse sparse_ *_sparse_ _to_sparse to_sparse _cslt hspmm _to_dense _coalesce",
        "works on a compressed tensor, which hides its zeros; use plain tensors with the zeros in them (to_dense())",
    ),
    ("_nested *_nested _jagged _padded", "works on a nested tensor; pad its parts to one length (to_padded_tensor)"),
    ("_foreach _fused_", "belongs to an optimizer; updates are recorded without being run, so leave its step out"),
)  # fmt: skip


def refused(namespace: str, name: str, layer: str) -> UserError:
    """The error for an operator that cannot be recorded."""
    start = f"layer '{layer}': runs '{namespace}::{name}', which "
    if namespace not in ("aten", "prims", "higher_order"):
        return UserError(
            f"{start}is an operator of another library, and what it does cannot be seen; write it with torch's own "
            "operators, or register it as composed of them (CompositeImplicitAutograd)"
        )
    for names, cure in CURES:
        if any(_is(name, each) for each in names.split()):
            return UserError(start + cure)
    return UserError(f"{start}is not known here (torch {torch.__version__}); write it with other operators of torch")


def _is(name: str, known: str) -> bool:
    return known[1:] in name if known.startswith("*") else name.startswith(known)

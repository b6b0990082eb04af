"""What the recorder knows of torch's operators: a closed world. Nothing that is not known here is taken for something.

An operator is one of

| PRODUCT | multiplies matrices; `products.py` says which |
| VECTOR  | works on elements, as a kind of vector work |
| FREE    | a view, a copy, a fill, a change of number format, a question about a tensor |
| OWN     | is done by operators that are looked at again; `decompositions.py` says how |
| SPLIT   | the same, by torch's own decompositions |
| UNKNOWN | is refused by its name |

Names are those of the functional form: `relu` stands for `relu_` and `relu.out` too.
"""

from collections.abc import Callable
from enum import Enum, auto
from functools import cache
from typing import final

import torch
from torch._decomp import core_aten_decompositions
from torch._ops import OpOverload

from workloads.op import VectorKind
from workloads.recording.calls import functional_name
from workloads.recording.decompositions import OWN


@final
class Sort(Enum):
    PRODUCT = auto()
    VECTOR = auto()
    FREE = auto()
    OWN = auto()
    SPLIT = auto()
    UNKNOWN = auto()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRODUCTS = _names("""
    mm bmm addmm baddbmm addbmm mv addmv dot vdot convolution convolution_backward _grouped_mm
""")
COPIES = _names("""
    _to_copy clone copy lift_fresh lift_fresh_copy alias_copy _conj_copy _neg_view_copy _lazy_clone lift _pin_memory
    detach_copy view_copy _reshape_alias_copy _reshape_copy
""")
PARTS = _names("""
    cat stack _stack _chunk_cat repeat tile
""")
RANDOM = _names("""
    rand randn randint randperm rand_like randn_like randint_like normal normal_functional uniform random bernoulli
    exponential geometric cauchy log_normal multinomial poisson
""")
# Questions about tensors, fills, and copies of parts.
FREE = (
    COPIES
    | PARTS
    | _names("""
    _sparse_coo_tensor_with_dims_and_tensors _sparse_coo_tensor_unsafe sparse_dim dense_dim is_coalesced _coalesced
    _nnz _dimI _dimV detach _unsafe_view resize resize_as set _local_scalar_dense is_same_size equal allclose
    _is_all_true _is_any_true
    is_set_to _has_same_storage_numel _assert_async _assert_scalar _functional_assert_async _assert_tensor_metadata
    sym_constrain_range sym_constrain_range_for_size _fused_sdp_choice _resize_output record_stream
    _has_compatible_shallow_copy_type result_type _debug_has_internal_overlap empty empty_like empty_strided
    empty_permuted new_empty new_empty_strided arange range scalar_tensor zeros zeros_like new_zeros
    _efficientzerotensor _new_zeros_with_same_feature_meta ones ones_like new_ones full full_like new_full fill zero
    eye linspace logspace tril_indices triu_indices hann_window hamming_window bartlett_window blackman_window
    kaiser_window fft_fftfreq fft_rfftfreq rand randn randint randperm rand_like randn_like randint_like
    select_backward slice_backward diagonal_backward slice_scatter select_scatter as_strided_scatter diagonal_scatter
    as_strided_copy expand_copy narrow_copy permute_copy select_copy slice_copy split_copy split_with_sizes_copy
    squeeze_copy t_copy transpose_copy unbind_copy unsqueeze_copy unfold_copy view_as_complex_copy view_as_real_copy
    diagonal_copy complex unsafe_split unsafe_split_with_sizes unsafe_chunk
""")
)
# Fourier transforms, at the end, are no products of matrices as they are computed.
KINDS = {
    VectorKind.NORMALISATION: """
        native_batch_norm native_batch_norm_backward _native_batch_norm_legit _native_batch_norm_legit_functional
        _native_batch_norm_legit_no_training _batch_norm_with_update _batch_norm_with_update_functional
        _batch_norm_no_update batch_norm_backward batch_norm_stats batch_norm_elemt batch_norm_gather_stats
        batch_norm_gather_stats_with_counts batch_norm_backward_reduce batch_norm_backward_elemt
        batch_norm_update_stats cudnn_batch_norm cudnn_batch_norm_backward miopen_batch_norm miopen_batch_norm_backward
        native_layer_norm native_layer_norm_backward native_group_norm native_group_norm_backward _fused_rms_norm
        _fused_rms_norm_backward _weight_norm_interface _weight_norm_interface_backward renorm embedding_renorm
    """,
    VectorKind.SOFTMAX: """
        _softmax _softmax_backward_data _masked_softmax _masked_softmax_backward logcumsumexp _logcumsumexp
    """,
    VectorKind.LOSS: """
        _log_softmax _log_softmax_backward_data nll_loss_forward nll_loss_backward nll_loss2d_forward
        nll_loss2d_backward mse_loss mse_loss_backward smooth_l1_loss smooth_l1_loss_backward huber_loss
        huber_loss_backward binary_cross_entropy binary_cross_entropy_backward soft_margin_loss
        soft_margin_loss_backward multi_margin_loss multi_margin_loss_backward multilabel_margin_loss_forward
        multilabel_margin_loss_backward _ctc_loss _ctc_loss_backward
    """,
    VectorKind.ACTIVATION: """
        relu relu6 threshold threshold_backward gelu gelu_backward silu silu_backward mish mish_backward tanh
        tanh_backward sigmoid sigmoid_backward hardtanh hardtanh_backward hardsigmoid hardsigmoid_backward hardswish
        hardswish_backward log_sigmoid_forward log_sigmoid_backward leaky_relu leaky_relu_backward elu elu_backward
        celu selu softplus softplus_backward softshrink softshrink_backward hardshrink hardshrink_backward glu
        glu_backward _prelu_kernel _prelu_kernel_backward rrelu_with_noise rrelu_with_noise_functional
        rrelu_with_noise_backward
    """,
    VectorKind.POOLING: """
        max_pool2d_with_indices max_pool2d_with_indices_backward max_pool3d_with_indices
        max_pool3d_with_indices_backward avg_pool2d avg_pool2d_backward avg_pool3d avg_pool3d_backward
        _adaptive_avg_pool2d _adaptive_avg_pool2d_backward _adaptive_avg_pool3d _adaptive_avg_pool3d_backward
        adaptive_max_pool2d adaptive_max_pool2d_backward adaptive_max_pool3d adaptive_max_pool3d_backward
        fractional_max_pool2d fractional_max_pool2d_backward fractional_max_pool3d fractional_max_pool3d_backward
        max_unpool2d max_unpool3d
    """,
    VectorKind.EMBEDDING: """
        embedding embedding_dense_backward _embedding_bag _embedding_bag_forward_only _embedding_bag_backward
        _embedding_bag_dense_backward _embedding_bag_per_sample_weights_backward
    """,
    VectorKind.GATHER: """
        _coalesce index index_select index_put _index_put_impl _unsafe_index _unsafe_index_put _unsafe_masked_index
        _unsafe_masked_index_put_accumulate index_add index_copy index_fill index_reduce gather scatter scatter_add
        scatter_reduce take put masked_select masked_scatter masked_scatter_backward nonzero nonzero_static argwhere
        _unique _unique2 unique_dim unique_consecutive unique_dim_consecutive repeat_interleave searchsorted bucketize
        segment_reduce _segment_reduce_backward sort topk kthvalue grid_sampler_2d grid_sampler_2d_backward
        _grid_sampler_2d_cpu_fallback _grid_sampler_2d_cpu_fallback_backward grid_sampler_3d grid_sampler_3d_backward
        value_selecting_reduction_backward bincount histc _pack_padded_sequence _pack_padded_sequence_backward
    """,
    VectorKind.ELEMENTWISE: """
        sum mean prod var var_mean std std_mean amax amin aminmax _aminmax max min any all argmax argmin median
        nanmedian mode norm native_norm linalg_vector_norm linalg__powsum dist count_nonzero cumsum cumprod cummax
        cummin trace nansum native_dropout native_dropout_backward _fused_dropout _masked_scale bernoulli normal
        normal_functional uniform random exponential geometric cauchy log_normal multinomial poisson binomial
        constant_pad_nd reflection_pad1d reflection_pad1d_backward reflection_pad2d reflection_pad2d_backward
        reflection_pad3d reflection_pad3d_backward replication_pad1d replication_pad1d_backward replication_pad2d
        replication_pad2d_backward replication_pad3d replication_pad3d_backward flip roll tril triu im2col col2im
        unfold_backward _cdist_forward _cdist_backward _pdist_forward _pdist_backward polar fill_diagonal
        upsample_nearest1d upsample_nearest1d_backward upsample_nearest2d upsample_nearest2d_backward
        upsample_nearest3d upsample_nearest3d_backward _upsample_nearest_exact1d _upsample_nearest_exact1d_backward
        _upsample_nearest_exact2d _upsample_nearest_exact2d_backward _upsample_nearest_exact3d
        _upsample_nearest_exact3d_backward upsample_linear1d upsample_linear1d_backward upsample_bilinear2d
        upsample_bilinear2d_backward upsample_trilinear3d upsample_trilinear3d_backward upsample_bicubic2d
        upsample_bicubic2d_backward _upsample_bilinear2d_aa _upsample_bilinear2d_aa_backward _upsample_bicubic2d_aa
        _upsample_bicubic2d_aa_backward _fft_r2c _fft_c2r _fft_c2c _amp_foreach_non_finite_check_and_unscale
        _amp_update_scale
    """,
}
VECTOR = {name: kind for kind, names in KINDS.items() for name in names.split()} | {"group_mask": VectorKind.MASK}
ATEN = "aten"
NAMESPACES = (ATEN, "sparsehil")  # the names above are theirs


@cache
def sort_of(func: OpOverload) -> Sort:
    """What an operator is."""
    name = functional_name(func)
    if func.namespace in NAMESPACES:
        if name in PRODUCTS:
            return Sort.PRODUCT
        if name in OWN:
            return Sort.OWN
        if name in FREE or _is_view(func):
            return Sort.FREE
        if name in VECTOR:
            return Sort.VECTOR
        if torch.Tag.pointwise in func.tags:
            return Sort.VECTOR
    return Sort.SPLIT if func._can_decompose() or func in splits() else Sort.UNKNOWN


def _is_view(func: OpOverload) -> bool:
    """Whether an operator gives a view, or makes a tensor one in place, as `transpose_` does. `reshape` may copy."""
    packet = func.overloadpacket
    plain = getattr(torch.ops.aten, functional_name(func), packet)
    forms = (func, *(getattr(plain, name) for name in plain.overloads())) if func._schema.is_mutable else (func,)
    return any(form.is_view and not form._can_decompose() for form in forms)


def kind_of(func: OpOverload) -> VectorKind:
    """The kind of an operator that is vector work."""
    return VECTOR.get(functional_name(func), VectorKind.ELEMENTWISE)


@cache
def splits() -> dict[OpOverload, Callable[..., object]]:
    """Torch's decompositions of operators into its core ones."""
    return dict(core_aten_decompositions())

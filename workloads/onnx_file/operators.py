"""What is known of ONNX's operators: a closed world. Nothing that is not known here is taken for something.

An operator is one of

| PRODUCT | multiplies matrices; `read.RULES` has its rule |
| VECTOR  | works on elements, as a kind of vector work |
| FREE    | a view, a copy, a fill, a change of number format, a question about a tensor, as the recorder has them |
| UNKNOWN | is refused by its name, with what helps |
"""

from workloads.op import VectorKind


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRODUCTS = _names("Conv ConvTranspose Gemm MatMul Einsum LSTM GRU RNN Attention")
# Of these the result depends on sizes alone.
SIZES = _names("Shape Size ConstantOfShape Constant EyeLike Range")
RANDOM = _names("RandomNormal RandomNormalLike RandomUniform RandomUniformLike")
FREE = (
    SIZES
    | RANDOM
    | _names(
        """
    Reshape Flatten Squeeze Unsqueeze Transpose Identity Cast CastLike BitCast Concat Split Slice Expand Tile
    DepthToSpace SpaceToDepth BlackmanWindow HammingWindow HannWindow MelWeightMatrix
    """
    )
)
KINDS = {
    VectorKind.NORMALISATION: """
        BatchNormalization LayerNormalization InstanceNormalization GroupNormalization RMSNormalization LRN
        LpNormalization MeanVarianceNormalization
    """,
    VectorKind.SOFTMAX: "Softmax Hardmax",
    VectorKind.LOSS: "LogSoftmax SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss",
    VectorKind.ACTIVATION: """
        Relu LeakyRelu PRelu Elu Celu Selu Gelu Sigmoid HardSigmoid HardSwish Swish SwiGLU Mish Softplus Softsign Tanh
        ThresholdedRelu Shrink Clip
    """,
    VectorKind.POOLING: """
        MaxPool AveragePool LpPool GlobalMaxPool GlobalAveragePool GlobalLpPool MaxUnpool MaxRoiPool RoiAlign
    """,
    VectorKind.GATHER: """
        Gather GatherElements GatherND Scatter ScatterElements ScatterND TensorScatter TopK NonZero Compress Unique
        ReverseSequence NonMaxSuppression GridSample OneHot
    """,
    VectorKind.ELEMENTWISE: """
        Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr
        BitwiseXor Ceil CenterCropPad Col2Im Cos Cosh CumProd CumSum Div Dropout Equal Erf Exp Floor Greater
        GreaterOrEqual IsInf IsNaN Less LessOrEqual Log Max Mean Min Mod Mul Multinomial Neg Not Or Pad Pow Reciprocal
        ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
        ReduceSumSquare Resize RotaryEmbedding Round Sign Sin Sinh Sqrt Sub Sum Tan Trilu Upsample Where Xor AffineGrid
    """,
}
VECTOR = {name: kind for kind, names in KINDS.items() for name in names.split()}
OURS = ("", "ai.onnx")  # the domain that the names above are of

CONTROL = _names("If Loop Scan SequenceMap")
QUANTISED = _names(
    """
    QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul MatMulInteger ConvInteger
    """
)
# Which inputs of an operator are no parameters although they are constants: statistics, states before a sequence, and
# what says how to do it.
SETTINGS = {
    "BatchNormalization": (3, 4),
    "LSTM": (5, 6),
    "GRU": (5,),
    "RNN": (5,),
    "Resize": (1, 2),
    "Upsample": (1,),
    "Clip": (1, 2),
    "Pad": (2,),
    "Dropout": (1,),
}


def fault(domain: str, operator: str) -> str:
    """Why an operator is refused, and what helps; empty where it is known."""
    if operator in CONTROL and domain in OURS:
        return "is control flow: what runs is known only when it runs; export the model without branches and loops"
    if operator in QUANTISED and domain in OURS:
        return "is of a quantised model; give the file in floating point that it was made from"
    if domain not in OURS:
        return f"is an operator of the domain '{domain}'; export without graph optimisation"
    if operator not in PRODUCTS and operator not in FREE and operator not in VECTOR:
        return "is not known; export the model with standard operators"
    return ""

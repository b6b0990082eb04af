"""Operands of convolutions as a backend has them: their products are torch's convolutions, forward and backward."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from workloads.training.layouts import by_channel, folded, matrix, spread, unfolded, weight_of

CASES = [((3, 3), (1, 1)), ((3, 3), (0, 0)), ((1, 1), (0, 0)), ((1, 1), (2, 1)), ((3, 2), (4, 1)), ((2, 4), (0, 3))]


def integers(*shape: int) -> torch.Tensor:
    """Small whole numbers, whose products and sums are exact in any order."""
    return torch.randint(-4, 5, shape).double()


@pytest.mark.parametrize(("kernel", "padding"), CASES)
def test_the_three_products_are_those_of_a_convolution(kernel: tuple[int, int], padding: tuple[int, int]) -> None:
    x, weight = integers(2, 5, 6, 7).requires_grad_(), integers(4, 5, *kernel).requires_grad_()
    y = conv2d(x, weight, padding=padding)
    gradient = integers(*y.shape)
    y.backward(gradient)
    assert x.grad is not None and weight.grad is not None
    taps, w = kernel[0] * kernel[1], matrix(weight.detach().numpy())
    left, output = unfolded(x.detach().numpy(), kernel, padding), gradient.numpy()
    back = np.concatenate([w[5 * tap : 5 * (tap + 1)].T for tap in range(taps)])  # Wbp[(t, o), c] = W[(t, c), o]
    np.testing.assert_array_equal(folded(left @ w, 2, tuple(y.shape[2:])), y.detach())  # type: ignore[arg-type]
    np.testing.assert_array_equal(folded(spread(output, kernel, padding) @ back, 2, (6, 7)), x.grad)
    np.testing.assert_array_equal(weight_of(left.T @ by_channel(output), tuple(weight.shape)), weight.grad)


@pytest.mark.parametrize("shape", [(7,), (4, 6), (4, 6, 3, 2)])
def test_a_weight_is_its_matrix_and_back(shape: tuple[int, ...]) -> None:
    weight = np.arange(np.prod(shape)).reshape(shape)
    assert (weight_of(matrix(weight), shape) == weight).all()
    if len(shape) == 4:
        assert matrix(weight)[5 * 6 + 1, 3] == weight[3, 1, 2, 1]  # tap 5 is row 2, column 1 of the kernel

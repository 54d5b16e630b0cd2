"""Convolution by loops, in NumPy and float64: what the tests compare with."""

import numpy as np


def convolution(inputs, kernel, strides=(1, 1), padding="SAME", cotangent=None):
    """A 2-D convolution, pixel by pixel; with a cotangent, the two gradients instead."""
    x, k = np.float64(inputs), np.float64(kernel)
    if padding == "SAME":
        padding = [
            same_padding(n, size, stride)
            for n, size, stride in zip(x.shape[1:3], k.shape[:2], strides, strict=True)
        ]
    elif padding == "VALID":
        padding = ((0, 0), (0, 0))
    x = np.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = (
        (n - size) // stride + 1
        for n, size, stride in zip(x.shape[1:3], k.shape[:2], strides, strict=True)
    )
    outputs = np.zeros((len(x), rows, columns, k.shape[-1]))
    of_x, of_k = np.zeros_like(x), np.zeros_like(k)
    for i in range(rows):
        for j in range(columns):
            top, left = i * strides[0], j * strides[1]
            seen = np.s_[:, top : top + k.shape[0], left : left + k.shape[1]]
            outputs[:, i, j] = np.tensordot(x[seen], k, 3)
            if cotangent is not None:
                pixel = np.float64(cotangent[:, i, j])
                of_x[seen] += np.tensordot(pixel, k, (1, 3))
                of_k += np.tensordot(x[seen], pixel, (0, 0))
    if cotangent is None:
        return outputs
    (top, bottom), (left, right) = padding
    bottom, right = of_x.shape[1] - bottom, of_x.shape[2] - right
    return of_x[:, top:bottom, left:right], of_k


def same_padding(length, size, stride):
    """What makes ceil(length / stride) outputs; an odd one goes after."""
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def max_pool(x):
    """The largest of each 2x2 pixels."""
    pooled = np.empty((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]))
    for i in range(pooled.shape[1]):
        for j in range(pooled.shape[2]):
            block = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            pooled[:, i, j] = block.max((1, 2))
    return pooled

"""AdamW's arithmetic as loops that Numba compiles: each number is read once and written once.

The compiled code is kept beside this file, so that only the first import on a machine compiles (two seconds). Nothing is
reordered but the sum of squares, which is added up in as many lanes as the processor's vectors have.
"""
from collections.abc import Callable

import numpy as np
from numba import njit, types

_VECTOR, _TABLE, _NUMBERS = types.float32[::1], types.float32[:, ::1], types.float32[::1]
_GRADIENT, _ROWS, _PLACES = (types.Array(kind, dimensions, "C", readonly=True)
                             for kind, dimensions in ((types.float32, 1), (types.float32, 2), (types.int32, 1)))
BLOCK = 4096
"""Squares that are added up in float32 before their sum is added in float64."""


def _compile(signature, **options) -> Callable:
    """Numba's `njit`, which keeps the compiled code if it can: beside this file, or in the user's cache folder."""
    def decorate(function: Callable) -> Callable:
        try:
            return njit(signature, cache=True, **options)(function)
        except RuntimeError:  # there is none, in a container that can only be read
            return njit(signature, **options)(function)
    return decorate


@_compile(types.float64(_GRADIENT), fastmath={"reassoc", "nsz"})
def sum_of_squares(values):
    """Sum of the squares of float32 [numbers], in float64."""
    total = 0.0
    for first in range(0, values.size, BLOCK):
        part = np.float32(0)
        for place in range(first, min(first + BLOCK, values.size)):
            part += values[place] * values[place]
        total += part
    return total


@_compile(types.void(_VECTOR, _VECTOR, _VECTOR, _GRADIENT, _NUMBERS), error_model="numpy")
def update(weights, means, squares, gradient, numbers):
    """One step of AdamW for weights, float32 [numbers] as all the arrays, in place.

    The operations and their order are those of Model Garden's decay and TensorFlow's ApplyAdam, and so are the bits.

    Args:
      means, squares: Adam's moving averages of the gradient and of its square.
      numbers: the factor of the gradient (clipping), weight decay, learning rate, the same with Adam's correction of the first
        steps, 1 - beta 1, 1 - beta 2, epsilon.
    """
    clip, decay, rate, corrected, pull, pull_squares, epsilon = numbers
    for place in range(weights.size):
        slope = gradient[place] * clip
        mean = means[place] + (slope - means[place]) * pull
        square = squares[place] + (slope * slope - squares[place]) * pull_squares
        means[place], squares[place] = mean, square
        weight = weights[place] - rate * weights[place] * decay
        weights[place] = weight - mean * corrected / (np.sqrt(square) + epsilon)


@_compile(types.void(_TABLE, _TABLE, _TABLE, types.Tuple((_ROWS, _PLACES)), _NUMBERS), error_model="numpy")
def update_rows(weights, means, squares, gradient, numbers):
    """`update` of a table, float32 [rows, width], whose gradient is the sum of these values at these rows, 0 elsewhere.

    Args:
      gradient: the values, float32 [values, width], and the row of each, int32 [values].
    """
    values, places = gradient
    numbers_of_rows = np.zeros(len(weights), np.int32)  # 0: a row without gradient
    sums = np.zeros((len(places) + 1, weights.shape[1]), np.float32)
    found = 0
    for place, row in enumerate(places):
        if numbers_of_rows[row] == 0:
            found += 1
            numbers_of_rows[row] = found
        total = sums[numbers_of_rows[row]]
        for column in range(len(total)):
            total[column] += values[place, column]
    for row in range(len(weights)):
        update(weights[row], means[row], squares[row], sums[numbers_of_rows[row]], numbers)

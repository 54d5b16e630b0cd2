"""Crossed: the error that shared test examples add to a mean over replicates.

In the crossed model an answer is the sum mean + net + example + rest. A mean over R nets
and N examples has the variance net / R + example / N + rest / (R N) (Owen 2007, "The
pigeonhole bootstrap"). The replicates' means show the first and the last term; this file
finds the second. Half the interval is the root of the sum of both halves' squares (Howe
1974).

Simulated studies (`tests/analysis/test_crossed.py`) show how often it holds the truth: in
95 to 99% with two replicates, 95 to 98% with three, 95 to 97% with more. With
Satterthwaite's degrees of freedom it is 88% with two, and 91% with three.
"""

import math

import numpy as np


def examples_error(answers: np.ndarray) -> float:
    """Returns the part of a mean's standard error that the drawn examples cause.

    `answers` are [R, N], of R replicates to N examples: right or wrong, or differences of
    these, which are -1, 0 and 1. The error is 0 if examples differ no more than by
    chance. It is NaN for one replicate, which cannot show it.
    """
    num_nets, num_examples = answers.shape
    if num_nets < 2 or num_examples < 2:
        return math.nan
    values = answers.astype(np.float64)
    nets, examples = values.mean(1), values.mean(0)
    by_example = num_nets * examples.var(ddof=1)
    rest = np.square(values - nets[:, None] - examples + values.mean()).sum()
    rest /= (num_nets - 1) * (num_examples - 1)
    return math.sqrt(max(by_example - rest, 0.0) / values.size)

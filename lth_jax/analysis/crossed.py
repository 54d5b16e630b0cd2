"""Crossed: replicates see the same test examples; what these add to a mean's error.

In the crossed model an answer is mean + net + example + rest, and the variance of a mean
over R nets and N examples is net / R + example / N + rest / (R N) (Owen 2007, "The
pigeonhole bootstrap"). The first and the last the replicates' own means show; the second
is here. An interval's half is then the root of the sum of both halves' squares (Howe
1974). Of simulated studies it holds the truth in 95 to 99% with two replicates, 95 to 98%
with three, 95 to 97% with more (`tests/analysis/test_crossed.py`); with Satterthwaite's
degrees of freedom that falls to 88% of two and 91% of three.
"""

import math

import numpy as np


def examples_error(answers: np.ndarray) -> float:
    """The standard error of a mean that comes of which examples were drawn.

    `answers` are [R, N], of R replicates to N examples: right or wrong, or differences of
    such, in -1, 0 and 1. It is 0 where examples differ no more than by chance, and NaN of
    one replicate, which cannot tell.
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

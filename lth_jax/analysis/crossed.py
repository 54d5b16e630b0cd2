"""Crossed: the error that shared test examples add to a mean over replicates.

In the crossed model (Owen 2007, "The pigeonhole bootstrap") an answer is the sum mean +
net + example + rest. A mean over R nets and N examples has the variance net / R +
example / N + rest / (R N). The replicates' means show the first and the last term. This
module estimates the second. The half-width of the interval is the root of the sum of the
squares of both half-widths (Howe 1974).

In simulated studies (`tests/analysis/test_crossed.py`) the interval covers the truth in
95 to 99% of cases with two replicates. Coverage is 95 to 98% with three replicates, and
95 to 97% with more. With Satterthwaite's degrees of freedom it is 88% with two, and 91%
with three.
"""

import math

import numpy as np


def examples_error(answers: np.ndarray) -> float:
    """Returns the part of a mean's standard error that comes from the drawn examples.

    `answers` [R, N] holds the answers of R replicates to N examples. They are right or
    wrong, or the differences -1, 0 and 1 between two arms. The error is 0 if examples
    differ no more than by chance. It is NaN for a single replicate or example.
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

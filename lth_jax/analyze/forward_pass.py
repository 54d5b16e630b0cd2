"""Forward pass: its multiply-adds, for all weights and for those that masks keep."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lth_jax.analyze.analysis import Subject
from lth_jax.shrinking.products import multiply_adds

Products = Mapping[str, int]  # multiply-adds of one example, by the path of the weights


def products_of(subject: Subject) -> Products:
    """Returns the multiply-adds of the study's dense net."""
    study, test = subject.study, subject.study.splits.test.inputs
    params, stats = jax.eval_shape(study.network.init, jax.random.key(0))
    batch = jax.ShapeDtypeStruct((1, *test.shape[1:]), test.dtype)

    def apply(params: Any, stats: Any, inputs: Any) -> Any:
        return study.network.apply(params, stats, inputs, False, None)[0]

    return multiply_adds(apply, params, stats, batch)


def kept(products: Products, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns multiply-adds float64[R] of the weights that masks bool[R, ...] keep."""
    shares = {path: mask.reshape(len(mask), -1).mean(1) for path, mask in masks.items()}
    found: np.ndarray = np.sum([n * shares[path] for path, n in products.items()], 0)
    return found

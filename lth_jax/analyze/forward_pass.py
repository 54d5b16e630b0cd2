"""Forward pass: its multiply-adds, of all weights and of those that masks keep."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lth_jax.analyze.analysis import Subject
from lth_jax.shrinking.products import multiply_adds

Products = Mapping[str, int]  # multiply-adds of an example, by the path of the weights


def products_of(subject: Subject) -> Products:
    """Those of the study's dense net."""
    study, test = subject.study, subject.study.splits.test.inputs
    params, stats = jax.eval_shape(study.network.init, jax.random.key(0))
    batch = jax.ShapeDtypeStruct((1, *test.shape[1:]), test.dtype)

    def apply(params: Any, stats: Any, inputs: Any) -> Any:
        return study.network.apply(params, stats, inputs, False, None)[0]

    return multiply_adds(apply, params, stats, batch)


def kept(products: Products, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Those of weights that masks bool[R, ...] by path keep, float64[R]."""
    shares = {path: mask.reshape(len(mask), -1).mean(1) for path, mask in masks.items()}
    found: np.ndarray = np.sum([n * shares[path] for path, n in products.items()], 0)
    return found

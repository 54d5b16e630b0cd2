"""Paths: where the repository and Debian's data lie."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")

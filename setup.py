"""The metadata are in setup.cfg; here is what cannot be there: configs/ as a package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lth_jax*"]), "lth_jax.configs"],
    package_dir={"lth_jax.configs": "configs"},
)

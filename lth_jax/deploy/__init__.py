"""Deploy: a trained ticket as files for use elsewhere, and back."""

from lth_jax.deploy.package import Package, load

__all__ = ["Package", "load"]

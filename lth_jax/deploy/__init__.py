"""Deploy: writes a trained ticket as files for use elsewhere, and reads them back."""

from lth_jax.deploy.package import Package, load

__all__ = ["Package", "load"]

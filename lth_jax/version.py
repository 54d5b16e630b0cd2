"""The version of this package, which a checkout that is not installed knows too."""

VERSION = "0.1.0"

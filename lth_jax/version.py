"""The version of this package, also known in a checkout that is not installed."""

VERSION = "0.1.0"

"""The version of stepscope, which packaging and reports read."""

__version__ = "0.1.0"

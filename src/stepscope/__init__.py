"""Tells, with evidence and a source line, when a training run is not doing what it should."""

__version__ = "0.1.0"

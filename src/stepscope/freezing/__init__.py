"""Freezes parts of a model, as plans say, and proves that they stand still."""

from stepscope.freezing.frozen import Frozen, freeze

__all__ = ["Frozen", "freeze"]

"""Proof that a frozen part stays as it is: before, during and after a training."""

from stepscope.freezing.proof.proof import FreezeBroken, Proof

__all__ = ["FreezeBroken", "Proof"]

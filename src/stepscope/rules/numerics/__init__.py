"""Numerics rules."""

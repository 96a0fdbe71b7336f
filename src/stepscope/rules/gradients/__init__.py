"""Gradients rules."""

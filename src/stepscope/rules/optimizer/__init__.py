"""Optimizer rules."""

"""Checkpoint rules."""

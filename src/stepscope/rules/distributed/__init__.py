"""Distributed rules."""

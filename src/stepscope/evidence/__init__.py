"""Frozen facts, one file a subject. Needs core; no torch."""

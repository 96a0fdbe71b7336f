"""Modality rules."""

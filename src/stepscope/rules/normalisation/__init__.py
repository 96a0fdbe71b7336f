"""Normalisation rules."""

"""Freezing rules."""

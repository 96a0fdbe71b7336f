"""Contrastive rules."""

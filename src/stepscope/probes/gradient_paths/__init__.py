"""Compares how values flow to the losses with how gradients flow back."""

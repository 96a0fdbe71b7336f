"""Gives every tensor of a recorded step the value it carries."""

"""Samplers: what is cheap enough to be looked at for the whole of a run."""

"""Measures a program in fresh processes, one for each variant and round."""

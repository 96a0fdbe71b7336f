"""Pairs of images and their boxes: read, checked, split, augmented, collated."""

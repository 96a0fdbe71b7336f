"""Annotation files, one format a module: read and written, without a look at any image."""

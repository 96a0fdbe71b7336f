"""What acts, and therefore acts on a copy of the model."""

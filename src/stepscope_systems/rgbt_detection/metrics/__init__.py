"""What a detector is worth: precision, miss rate, alignment, and how sure the figures are."""

"""One file a format: bytes in, a tree of plain values and places of tensors out."""

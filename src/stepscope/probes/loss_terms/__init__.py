"""What a total loss is made of, read from the graph above it."""

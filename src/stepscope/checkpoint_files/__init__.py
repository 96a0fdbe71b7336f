"""What is in a checkpoint file, told without executing anything from it."""

"""What the entries of a checkpoint mean: model, optimizer, schedule, and how far it was."""

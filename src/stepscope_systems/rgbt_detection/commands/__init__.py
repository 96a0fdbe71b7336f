"""The commands beside training: evaluate, predict, validate, convert, synthesise."""

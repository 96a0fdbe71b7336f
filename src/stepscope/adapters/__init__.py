"""How a program comes under observation."""

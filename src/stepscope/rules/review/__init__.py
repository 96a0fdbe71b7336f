"""Rules on the run as a whole."""

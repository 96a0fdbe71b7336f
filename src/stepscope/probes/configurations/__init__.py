"""Which settings of a configuration the program reads, and which modules they declare."""

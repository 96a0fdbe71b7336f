"""Lists of pairs written in the layouts that other programs read."""

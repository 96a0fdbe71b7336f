"""What a watched run leaves on disk: written while it goes, read back at any time."""

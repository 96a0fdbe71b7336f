"""What was loaded, from which files, and how much of it fitted."""

"""Loss rules."""

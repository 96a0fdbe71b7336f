"""torch in, evidence out: looks, never touches."""

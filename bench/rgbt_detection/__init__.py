"""What the visible/infrared detector learns, and what its parts cost."""

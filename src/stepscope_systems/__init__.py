"""Training systems that verify themselves with stepscope."""

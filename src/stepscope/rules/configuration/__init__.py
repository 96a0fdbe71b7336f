"""What is configured and does not come to act."""

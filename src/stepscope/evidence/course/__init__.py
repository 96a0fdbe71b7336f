"""What is known of a whole run: numbers at sampled steps, and what happened between them."""

"""What a detector saw, felt and learnt, as pictures in one HTML file that needs nothing else."""

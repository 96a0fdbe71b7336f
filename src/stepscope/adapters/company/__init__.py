"""The processes of one run: how they meet, what they hand to each other, and who reports."""

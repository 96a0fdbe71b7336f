"""What freezing saves and what it holds, on models of real size."""

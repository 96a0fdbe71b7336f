"""Files in which people write down what a run is to do, read without running them."""

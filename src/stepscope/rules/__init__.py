"""What is wrong, one rule a file. Listed nowhere: `stepscope.catalogue` finds them."""

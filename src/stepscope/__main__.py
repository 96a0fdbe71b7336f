"""`python -m stepscope`, as `torchrun -m stepscope` needs it."""

from stepscope.cli import main

main()

"""`python -m skep` is `skep`."""

from skep.cli import main

main()

"""`python -m allyouneed` is the command `allyouneed`; torchrun starts it so."""

from allyouneed.cli import main

main()

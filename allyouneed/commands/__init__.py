"""The verbs of the command line. Thin: they call the rooms, and import torch only inside a command."""

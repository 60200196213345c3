"""allyouneed: the Transformer and its family, on one set of parts."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


DOORS = {"load": "recipes.runs", "record": "tracing.record", "Trace": "tracing.trace"}
"""What is offered here, and the module that it comes from."""


def __getattr__(name: str) -> Any:
    """`allyouneed.load` without making `import allyouneed` load torch."""
    if name in DOORS:
        return getattr(import_module(f"allyouneed.{DOORS[name]}"), name)
    raise AttributeError(f"module 'allyouneed' has no attribute {name!r}")


__all__ = ["Trace", "__version__", "load", "record"]

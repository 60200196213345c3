"""allyouneed: the Transformer and its family, on one set of parts."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`allyouneed.load` without making `import allyouneed` load torch."""
    if name == "load":
        from allyouneed.recipes.runs import load

        return load
    raise AttributeError(f"module 'allyouneed' has no attribute {name!r}")


__all__ = ["__version__", "load"]

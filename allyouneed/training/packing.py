"""A nested state as tensors and JSON, so that no file needs pickle.

A packed tree is JSON in which every object is a tag, so that texts and lists stand for themselves.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def pack(tree: Any) -> tuple[dict[str, Tensor], Any]:
    """Split nested dicts, lists, tuples, tensors and scalars into (tensors by name, JSON)."""
    tensors: dict[str, Tensor] = {}

    def walk(node: Any, name: str) -> Any:
        if isinstance(node, Tensor):
            name = name or "tensor"
            while name in tensors or name == "__metadata__":  # "__metadata__" is taken by the file format
                name += "_"
            tensors[name] = node
            return {"tensor": name}
        if isinstance(node, Mapping):
            pairs = node.items()
            return {"dict": [[walk(key, name), walk(value, f"{name}.{key}".strip("."))] for key, value in pairs]}
        if isinstance(node, list | tuple):
            items = [walk(item, f"{name}.{index}".strip(".")) for index, item in enumerate(node)]
            return items if isinstance(node, list) else {"tuple": items}
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise TypeError(f"a checkpoint cannot hold the {type(node).__name__} at {name!r}")

    return tensors, walk(tree, "")


def unpack(tensors: Mapping[str, Any], structure: Any) -> Any:
    """The tree that was packed: same values to the last bit, same tuples, same integer keys."""
    if isinstance(structure, list):
        return [unpack(tensors, item) for item in structure]
    if not isinstance(structure, dict):
        return structure
    ((tag, content),) = structure.items()
    if tag == "tensor":
        return tensors[content]
    if tag == "tuple":
        return tuple(unpack(tensors, item) for item in content)
    return {unpack(tensors, key): unpack(tensors, value) for key, value in content}

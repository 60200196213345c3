"""Files of weights that others wrote: safetensors, or a pickle of which nothing but tensors is read."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from allyouneed.errors import UserError

NAMES = ("model.safetensors", "pytorch_model.bin")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises UserError naming the file where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:  # not JSON, or not text at all
        raise UserError(f"{path} is not a JSON file ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} should hold an object of settings, but holds a {type(content).__name__}")
    return content


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of `model.safetensors` or, where it is missing, `pytorch_model.bin`, by the names in the file.

    The trap is the second: a pickle is a program. It is read with `weights_only`, which runs none of it; one that asks
    for anything but tensors is refused with a UserError, as is a damaged file.
    """
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"{folder} holds no weights; it should have {' or '.join(NAMES)}")
    try:
        tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # what a damaged or hostile file raises is beyond listing
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} cannot be read as weights, and nothing in it was run ({reason})") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"{path} should hold tensors by name, as a model's state dict, and holds something else")
    return tensors

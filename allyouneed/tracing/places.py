"""The codes by which a model knows order: those that it really adds, asked of its own parts (`codes`, `timing`).

Models of others, which answer no such question, are asked for tables that are named after positions.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.tracing.manifest import Array, Positions

SIDES = {"encoder": "source", "decoder": "target"}
"""Spaces by the side of a model that reads them, where it is not called as the space is."""


class Coded(NamedTuple):
    """What one part adds."""

    title: str
    space: str
    codes: Tensor  # n d
    learned: bool


def places(
    model: nn.Module, length: int, spaces: Sequence[str] = ("source", "target")
) -> tuple[list[Positions], dict[str, np.ndarray]]:
    """The codes of the first `length` positions, of each part of the model that adds any, and the arrays they name.

    `spaces` are the names of the trace's spaces: a part on a side that none is named after numbers the first of them.
    Where two parts have the same codes (sinusoids on both sides), one is told. A model without positions gives none.
    """
    told: list[Positions] = []
    arrays: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for part in sorted(_coded(model, length, spaces), key=lambda part: not part.space):  # steps come last
            numbers = np.ascontiguousarray(part.codes.float().cpu().numpy())
            if any(np.array_equal(numbers, array) for array in arrays.values()):
                continue
            name = f"positions.{len(told)}"
            arrays[name] = numbers
            told.append(Positions(title=part.title, space=part.space, codes=Array(name), sinusoidal=not part.learned))
    return told, arrays


def _coded(model: nn.Module, length: int, spaces: Sequence[str]) -> Iterator[Coded]:
    for name, module in model.named_modules():
        learned = any(True for _ in module.parameters())
        codes, timing = getattr(module, "codes", None), getattr(module, "timing", None)
        if callable(codes) and not name.endswith(".steps"):  # which `timing` shows
            longest = getattr(module, "longest", None)
            title = "learned positions" if learned else "sinusoidal positions"
            yield Coded(
                title, _space(name, spaces), codes(length if longest is None else min(length, longest)), learned
            )
        elif not callable(codes):
            yield from _foreign(name, module, length, spaces)
        if callable(timing) and (turns := timing()) is not None:
            taught = any(True for _ in module.coordinates.steps.parameters())  # type: ignore[union-attr]
            yield Coded("codes of the steps in depth", "", turns, taught)


def _foreign(name: str, module: nn.Module, length: int, spaces: Sequence[str]) -> Iterator[Coded]:
    """Tables called position(s), as Hugging Face's: rows of an embedding, or a parameter with a row for each place.

    The trap is the first row: BART's table has two before it (`offset`), RoBERTa's those up to its padding.
    """
    table = getattr(module, "weight", None)
    if "position" in name.rpartition(".")[2] and isinstance(module, nn.Embedding) and table is not None:
        start = getattr(module, "offset", 0 if module.padding_idx is None else module.padding_idx + 1)
        yield _told(table[start : start + length], table, name, spaces)
    for own, parameter in module.named_parameters(recurse=False):
        if "position" in own and parameter.dim() in (2, 3):
            yield _told(parameter.reshape(-1, parameter.shape[-1])[:length], parameter, name, spaces)


def _told(codes: Tensor, table: Tensor, name: str, spaces: Sequence[str]) -> Coded:
    title = "learned positions" if table.requires_grad else "sinusoidal positions"
    return Coded(title, _space(name, spaces), codes, table.requires_grad)


def _space(name: str, spaces: Sequence[str]) -> str:
    parts = name.split(".")
    sides = [SIDES.get(part, part) for part in parts]
    return next((side for side in sides if side in spaces), spaces[0] if spaces else "")

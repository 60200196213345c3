"""What other toolkits call a Transformer: which of our models are one, and how their weights are read off."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from allyouneed.models.transformer import TransformerConfig, orders
from allyouneed.nn.frames import EncoderDecoder

POSITIONS = 2048  # rows of a table of sinusoids, which elsewhere does not grow by itself
PLAIN = {"pre": ("(sf)+n", "(scf)+n"), "post": ("(sf)+", "(scf)+")}


class Sublayers(NamedTuple):
    """One layer of a stack in the plain order."""

    self_attention: Any
    cross_attention: Any  # None in an encoder
    feedforward: Any


def unusual_orders(c: TransformerConfig) -> list[str]:
    """Why a toolkit that knows the plain orders only cannot hold this model; nothing if it can."""
    settings = (("order", "sf"), ("decoder_order", "scf"))
    return [
        f"model.{name}={order} (it has {plain!r} repeated{', a norm at the end' if c.norm == 'pre' else ''})"
        for (name, plain), order, pattern in zip(settings, orders(c), PLAIN[c.norm], strict=True)
        if not re.fullmatch(pattern, order)
    ]


def layers(stack: Any, unit: str) -> Iterator[Sublayers]:
    """The layers of a stack whose order is `unit` repeated."""
    order = [letter for letter in stack.order if letter != "n"]
    for start in range(0, len(order), len(unit)):
        found = {letter: stack.layers[f"{start + k}{letter}"] for k, letter in enumerate(unit)}
        yield Sublayers(found["s"], found.get("c"), found["f"])


def final_norm(stack: Any) -> nn.Module | None:
    """The norm at the end of a pre-norm stack."""
    return stack.layers[f"{len(stack.order) - 1}n"].norm if stack.order.endswith("n") else None


def depth(stack: Any, unit: str) -> int:
    return len(stack.order) // len(unit)


@torch.no_grad()
def position_codes(c: TransformerConfig, model: EncoderDecoder) -> tuple[Tensor, Tensor]:
    """The position tables of source and target, n d: learned ones as they are, sinusoids for `POSITIONS` places."""
    length = c.positions_length if c.positions == "learned" else POSITIONS
    sides = (model.source.positions, model.target.positions)
    source, target = (side.codes(length).detach().float() for side in sides)  # type: ignore[operator]
    return source, target

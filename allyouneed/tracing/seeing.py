"""One pass of a model, recorded: the beginning of every trace of a run, to which a task adds what it knows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.tracing.collect import collect
from allyouneed.tracing.flow import flow, linked
from allyouneed.tracing.manifest import Classes, Guess, Guesses, Manifest, ModelCard, Space, library
from allyouneed.tracing.places import places
from allyouneed.tracing.record import record
from allyouneed.tracing.trace import Trace

CANDIDATES = 8
"""Guesses that are kept at a place, and classes of a text."""

PLACES = 64
"""Positions whose codes are kept at least: of a short text one would not see the slow waves."""

LONGEST = 4096
"""Pieces of a text that are looked at; every layer of a longer one would be too much for a page."""


class Seen(NamedTuple):
    """A trace in the making, and what the model answered."""

    manifest: Manifest
    arrays: dict[str, np.ndarray]
    output: Any

    def trace(self) -> Trace:
        return Trace(self.manifest, self.arrays)


def see(model: nn.Module, inputs: Sequence[Tensor], spaces: Mapping[str, Space], card: ModelCard, **said: str) -> Seen:
    """Runs the model on a batch of one and collects all that can be seen of it. `said`: title, input, output.

    UserError where the model has nothing to record, or its weights are no numbers.
    """
    device = next(model.parameters()).device
    given = [tensor.to(device) for tensor in inputs]
    with torch.no_grad(), record(model.eval()) as seen:
        output = model(*given)
    if torch.isnan(output if isinstance(output, Tensor) else output[0]).any():
        raise UserError("the model answers with what are no numbers, so its training has probably diverged")
    found = collect(seen, dict(spaces))
    length = max([PLACES, *(space.size for space in found.spaces.values())])
    coded, codes = places(model, length, list(found.spaces))
    steps = linked(flow(model, *given), found.relations)
    manifest = Manifest(
        model=card, spaces=found.spaces, relations=found.relations, halting=found.halting, buckets=found.buckets,
        permutations=found.permutations, positions=coded, flow=steps, notes=found.notes, **said,
    )  # fmt: skip
    return Seen(manifest, {**found.arrays, **codes}, output)


def card_of(run: Any) -> ModelCard:
    """What a run tells of its model."""
    settings = run.settings
    orders = list(CATALOGUE[settings.system].orders(settings.model))
    sides = all(hasattr(run.model, side) for side in ("encoder", "decoder"))
    return ModelCard(
        name=settings.system,
        task=settings.task,
        parameters=sum(parameter.numel() for parameter in run.model.parameters()),
        orders=orders if sides else orders[:1],  # what has one side alone has the first
        run=run.folder.resolve().name,
        library=library(),
    )


def guesses(
    title: str, space: str, logits: Tensor, places: Sequence[int], names: Callable[[list[int]], list[str]]
) -> Guesses:
    """The likeliest answers at some places; `logits` are n v, and `names` spells answers."""
    best = logits.float()[list(places)].softmax(-1).topk(min(CANDIDATES, logits.shape[-1]), -1)
    rows = zip(places, best.indices.tolist(), best.values.tolist(), strict=True)
    at = [Guess(item=place, tokens=names(ids), probabilities=shares) for place, ids, shares in rows]
    return Guesses(title=title, space=space, at=at)


def classes(title: str, names: Sequence[str], probabilities: Tensor) -> Classes:  # c
    """The likeliest classes, best first."""
    best = probabilities.float().topk(min(CANDIDATES, len(names)))
    return Classes(title=title, names=[names[i] for i in best.indices.tolist()], probabilities=best.values.tolist())


def sequence(title: str, items: Sequence[str], special: Sequence[int] = (), language: str | None = None) -> Space:
    return Space(kind="sequence", title=title, items=list(items), special=list(special), language=language or "")

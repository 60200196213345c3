"""What parts show besides attention: signed mixing, buckets of hashing, wiring, halting (`nn/shown.py`)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from allyouneed.nn.shown import Halted, Hashed, Mixing, Wired
from allyouneed.tracing.encoding import Kept, Map, to_numpy
from allyouneed.tracing.looks import Call
from allyouneed.tracing.manifest import Buckets, Halting, Layer, Permutation, Space

PLACES = 4096
"""More places than this, and what mixes them is left out: it has a weight for each pair."""

FILLED = "<pad>"


def show(into: Any, name: str, call: Call) -> None:
    """Adds to what is gathered (`collect.Gathered`) what a part shows of a call."""
    x = call.given[0]
    places = x.shape[2:].numel() if x.dim() == 4 and name not in into.where else 0
    if places > PLACES:
        into.notes.append(f"{name} was left out: it mixes {places:,} places, and has a weight for each pair of them.")
        return
    for shown in call.shown():
        SHOWS[type(shown)](into, name, call, shown)


def difference(again: Tensor | None, output: Any) -> float | None:
    if again is None or not isinstance(output, Tensor):
        return None
    return float((again.float() - output.float()).abs().max())


def mixing(into: Any, name: str, call: Call, shown: Mixing) -> None:
    weights = to_numpy(shown.weights[0])  # h n m
    side = into.spaces.side(None, np.ones(weights.shape[-1], bool), shown.grid)
    relation = into.relation("mixing", "signed", side, side, shown.note, shown.input_independent)
    error = difference(shown.again, call.output)
    layer = Layer(module=name, heads=len(weights), error=error, output_rows=0 if error is None else weights.shape[1])
    one = Kept(layer, f"{relation}.{len(into.relations[relation].layers)}", Map.of(weights), into.arrays)
    layer.weights = into.add(relation, layer, one, own=True).put("weights", weights)


def hashed(into: Any, name: str, call: Call, shown: Hashed) -> None:
    if name not in into.where:
        return  # its layer was left out
    relation, number = into.where[name]
    space = into.relations[relation].queries
    buckets, order = (x[0].cpu().numpy().astype(np.int32) for x in (shown.buckets, shown.order))  # h R n
    kept = into.spaces.side(None, np.ones(call.given[0].shape[2], bool)).kept
    real = np.flatnonzero(kept)
    renamed = np.cumsum(kept) - 1
    order = order[np.pad(kept, (0, order.shape[-1] - len(kept)))[order]].reshape(*order.shape[:2], len(real))
    into.buckets.append(
        Buckets(
            title=f"Buckets, layer {number + 1}", space=space, relation=relation, layer=number, chunk=shown.chunk,
            buckets=into.array(f"buckets.{len(into.buckets)}", buckets[..., real]),
            order=into.array(f"order.{len(into.buckets)}", renamed[order].astype(np.int32)),
        )
    )  # fmt: skip


def wired(into: Any, name: str, call: Call, shown: Wired) -> None:
    n = call.given[0].shape[1]
    length = len(shown.targets[0]) if shown.targets else n
    space = into.spaces.side("places", np.ones(length, bool)).space
    given = into.spaces.given.get("tokens")
    items = [given.items[i] if given and i < given.size else str(i + 1) for i in range(n)]
    items = [*items[: given.size if given else n], *[FILLED] * (length - (given.size if given else n))]
    filled = [i for i, item in enumerate(items) if item == FILLED]
    into.spaces.used[space] = Space(kind="sequence", title="places", items=items, special=filled)
    for targets in shown.targets:
        number = len(into.permutations)
        into.permutations.append(
            Permutation(
                title=f"After switch {number + 1}", space=space, layer=number,
                targets=into.array(f"permutation.{number}", targets.cpu().numpy().astype(np.int32)),
            )
        )  # fmt: skip


def halted(into: Any, name: str, call: Call, shown: Halted) -> None:
    side = into.sides.side(name)
    relation = side if side in into.relations else None
    kind = {"encoder": "source", "decoder": "read"}.get(side)
    found = into.spaces.side(kind, np.ones(shown.steps.shape[1], bool))
    error = difference(shown.again[:, torch.from_numpy(found.kept)], call.output[:, torch.from_numpy(found.kept)])
    if error is not None and not error < 1e-2:
        into.notes.append(
            f"The steps of {name}, taken once more, give an output that differs by {error:.2g} from what happened; was "
            "the model in training?"
        )
    number = len(into.halting)
    into.halting.append(
        Halting(
            title={"encoder": "Encoder", "decoder": "Decoder"}.get(side, "Steps") + ", halting",
            space=found.space, relation=relation,
            probabilities=into.array(f"halting.{number}", to_numpy(shown.probabilities[0])[:, found.kept]),
            updates=into.array(f"updates.{number}", to_numpy(shown.steps[0].float())[found.kept]),
            remainders=into.array(f"remainders.{number}", to_numpy(shown.remainder[0])[found.kept]),
        )
    )  # fmt: skip


SHOWS: dict[type, Any] = {Mixing: mixing, Hashed: hashed, Wired: wired, Halted: halted}

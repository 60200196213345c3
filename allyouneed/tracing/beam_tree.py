"""The tree of a beam search: what was kept, what was pruned, and which words each row looked at when it chose.

`Watching` is handed to a search, which tells it each step as it was decided; nothing runs where nobody watches.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.decoding.beam import Decision
from allyouneed.decoding.penalties import Penalty
from allyouneed.tracing.manifest import Array, Beam, Layer, Node

Spell = Callable[[Sequence[int]], list[str]]
"""Token ids -> a label for each, as a person reads it."""


class Watching:
    """What a search of one sentence said, and the weights of every attention that ran in it, call by call."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.weights: dict[str, list[Tensor]] = defaultdict(list)

    def __call__(self, decision: Decision) -> None:
        self.decisions.append(decision)

    @contextmanager
    def over(self, model: nn.Module) -> Iterator["Watching"]:
        """Weights are made at once, of the few rows of each step: to keep all queries and keys would take more."""
        handles = [
            module.register_forward_pre_hook(self._keeper(name), with_kwargs=True)
            for name, module in model.named_modules()
            if callable(getattr(module, "weights", None))
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _keeper(self, name: str) -> Any:
        def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = dict(zip(("q", "k", "v", "mask"), args, strict=False)) | kwargs
            with torch.no_grad():
                self.weights[name].append(module.weights(given["q"], given["k"], given.get("mask")).float().cpu())

        return keep

    @property
    def rows(self) -> list[int]:
        """How many hypotheses went into each step."""
        return [1, *(decision.going.shape[1] for decision in self.decisions[:-1])]

    def readings(self, layer: Layer) -> Tensor | None:  # readings h m
        """The weights of a layer of cross-attention, those of all rows of all steps one after the other.

        A module that is repeated was called several times in each step; its name in a trace says which time is meant.
        """
        name, _, time = layer.module.partition("#")
        calls, steps = self.weights.get(name, []), len(self.decisions)
        times, turn = divmod(len(calls), steps)[0], int(time or 1) - 1
        if turn >= times or len(calls) % steps:
            return None
        return torch.cat([_last(w, r) for w, r in zip(calls[turn::times], self.rows, strict=True)])


def _last(weights: Tensor, rows: int) -> Tensor:  # 1 h (r n) m, or r h n m -> r h m
    """Of each row the query that stands last, the one that is new."""
    if weights.shape[0] == 1:
        weights = weights[0].unflatten(1, (rows, -1)).transpose(0, 1)  # r h n m
    return weights[:, :, -1]


class Tree(NamedTuple):
    nodes: list[Node]
    best: list[int]  # from the first token to the end


def tree(watching: Watching, ids: Sequence[int], end: int, penalty: Penalty, spell: Spell) -> Tree:
    """The nodes of a search whose result is `ids` (without the end token, `end`)."""
    nodes: list[Node] = []
    rows, readings = [-1], 0  # of each row of the step the node that it continues
    for decision in watching.decisions:
        found = _step(decision, rows, nodes, readings, penalty, spell)
        readings += len(rows)
        rows = [found.get(place, -1) for place in decision.going[0].tolist()]
    return Tree(nodes, _best(nodes, [*ids, end]))


def _step(
    decision: Decision, rows: list[int], nodes: list[Node], readings: int, penalty: Penalty, spell: Spell
) -> dict[int, int]:
    """Adds the candidates of a step; which node each place among them became. Of a path that is empty there is none."""
    candidates, going = decision.candidates, set(decision.going[0].tolist())
    texts = spell(candidates.tokens[0].tolist())
    ended, divisor = decision.ended[0].tolist(), float(penalty(decision.position + 1))
    made: dict[int, int] = {}
    columns = (column[0].tolist() for column in candidates)
    for place, (total, slot, token) in enumerate(zip(*columns, strict=True)):
        if total == float("-inf"):
            continue
        parent = rows[slot]
        made[place] = len(nodes)
        nodes.append(
            Node(
                step=decision.position,
                parent=parent,
                text=texts[place],
                token=token,
                log_probability=total - (nodes[parent].total if parent >= 0 else 0.0),
                total=total,
                score=total / divisor,
                state="finished" if ended[place] else "kept" if place in going else "pruned",
                reading=readings + slot,
            )
        )
    return made


def _best(nodes: list[Node], ids: list[int]) -> list[int]:
    """The path that writes these tokens; a path is written once, so there is one."""
    ends = [i for i, node in enumerate(nodes) if node.state == "finished" and node.step == len(ids) - 1]
    paths = (_path(nodes, i) for i in ends)
    return next((path for path in paths if [nodes[i].token for i in path] == ids), [])


def _path(nodes: list[Node], last: int) -> list[int]:
    path = [last]
    while nodes[path[-1]].parent >= 0:
        path.append(nodes[path[-1]].parent)
    return path[::-1]


class Searched(NamedTuple):
    """A search as a trace has it, with its arrays."""

    beam: Beam
    arrays: dict[str, np.ndarray]


def searched(
    watching: Watching, grown: Tree, settings: Any, cross: Sequence[Layer], sources: str = "source"
) -> Searched:
    """The tree with the cross-attention of each step. `cross`: the layers whose modules are meant, of a trace.

    `settings` are those of decoding. Where the weights of a layer are not to be had, there are none of any.
    """
    found = [watching.readings(layer) for layer in cross]
    whole = [weights for weights in found if weights is not None]
    if len(whole) < len(found) or not found:
        nodes = [node.model_copy(update={"reading": -1}) for node in grown.nodes]
        whole = []
    else:
        nodes = grown.nodes
    arrays = {f"beam.cross.{i}": weights.numpy() for i, weights in enumerate(whole)}
    penalty = {"width": settings.beam, "penalty": settings.penalty, "alpha": settings.length_penalty}
    beam = Beam(**penalty, nodes=nodes, best=grown.best, sources=sources, cross=[Array(name) for name in arrays])
    return Searched(beam, arrays)

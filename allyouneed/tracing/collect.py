"""From a recording to a trace: looks become relations between spaces, padding goes, and each layer is kept small."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from allyouneed.tracing.attending import Attended, TooMany
from allyouneed.tracing.encoding import BUDGET, Kept, distances, figures, within
from allyouneed.tracing.looks import Call, Look, Recording
from allyouneed.tracing.manifest import (
    Array,
    Buckets,
    Halting,
    Layer,
    Manifest,
    ModelCard,
    Permutation,
    Relation,
    Space,
    library,
)
from allyouneed.tracing.reading import Reading, one_reading
from allyouneed.tracing.showing import show
from allyouneed.tracing.spaces import Side, Spaces
from allyouneed.tracing.standing import SPACES, TITLES, Sides
from allyouneed.tracing.trace import Trace

WRONG = 1e-2
"""A difference between weights times values and a layer's output that rounding does not explain, in full precision."""


class Collected(NamedTuple):
    """The parts of a manifest that a recording gives, and their arrays."""

    spaces: dict[str, Space]
    relations: dict[str, Relation]
    halting: list[Halting]
    buckets: list[Buckets]
    permutations: list[Permutation]
    arrays: dict[str, np.ndarray]
    notes: list[str]


def collect(
    seen: Recording, spaces: Mapping[str, Space] | None = None, item: int = 0, budget: float = BUDGET
) -> Collected:
    """What was recorded of one of the batch. Spaces are those of `Recording.trace`; missing ones are made of numbers.

    UserError if a space's size is not that of what was recorded, if there is no such item, or if steps of decoding
    cannot be put together.
    """
    with torch.no_grad(), seen.deaf():
        reading = one_reading(seen, item)
        gathered = Gathered(seen, reading, spaces or {})
        gathered.all()
        return gathered.done(budget)


def trace_of(seen: Recording, labels: Mapping[str, Any], item: int = 0) -> Trace:
    """A trace of the recording alone, as `Recording.trace` gives it."""
    spaces = {name: space_of(name, given) for name, given in labels.items()}
    found = collect(seen, spaces, item)
    card = ModelCard(
        name=type(seen.model).__name__,
        parameters=sum(parameter.numel() for parameter in seen.model.parameters()),
        library=library(),
    )
    parts = {field: getattr(found, field) for field in found._fields if field != "arrays"}
    return Trace(Manifest(model=card, **parts), found.arrays)


def space_of(name: str, given: Space | Sequence[str]) -> Space:
    return given if isinstance(given, Space) else Space(kind="sequence", title=name, items=[str(x) for x in given])


class Gathered:
    """Relations in the making."""

    def __init__(self, seen: Recording, reading: Reading, spaces: Mapping[str, Space]):
        self.reading, self.sides = reading, Sides.of(seen.model)
        self.pad = getattr(seen.model, "pad", 0) if seen.own else None
        images = [x for x in reading.inputs if x.dim() == 4]  # more than one of that shape are queries, keys and values
        self.spaces = Spaces(spaces, len(images) == 1)
        self.relations: dict[str, Relation] = {}
        self.kept: list[Kept] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.masks: dict[bytes, Array] = {}
        self.halting: list[Halting] = []
        self.buckets: list[Buckets] = []
        self.permutations: list[Permutation] = []
        self.where: dict[str, tuple[str, int]] = {}  # of each look: its relation and layer
        self.notes = list(reading.notes)

    # ---- attention

    def all(self) -> None:
        """Everything, in the order in which it ran."""
        stands = {name: self.stands(name, look) for name, look in self.reading.looks.items()}
        real = self.real(stands)
        ran: list[tuple[int, str, Call | None]] = [
            (look.place, name, None) for name, look in self.reading.looks.items()
        ]
        ran += [(call.place, name, call) for name, call in self.reading.calls.items()]
        for _, name, call in sorted(ran, key=lambda one: one[0]):
            if call is not None:
                show(self, name, call)
                continue
            kind, look = stands[name], self.reading.looks[name]
            rows, columns = (
                self.spaces.side(space, real[space, length])
                for space, length in zip(self.ends(kind), (look.q.shape[2], look.k.shape[2]), strict=True)
            )
            try:
                self.attended(kind, Attended(name, look, rows.kept, columns.kept), rows, columns)
            except TooMany as error:
                self.notes.append(str(error))

    def stands(self, name: str, look: Look) -> str:
        n, m = look.q.shape[2], look.k.shape[2]
        seen = look.visible()[0].expand(-1, n, m).cpu().numpy()
        causal = n > 1 and bool((seen == np.tri(n, m, m - n, dtype=bool)).all())
        return self.sides.relation(name, look, causal)

    def ends(self, kind: str) -> tuple[str | None, str | None]:
        """The spaces of its rows and columns; None is the one of a model that has one."""
        return SPACES.get(kind, (None, None))

    def real(self, stands: Mapping[str, str]) -> dict[tuple[str | None, int], np.ndarray]:
        """By space and length, which positions are no padding: keys that the model's mask lets somebody see, and tokens
        that are no pad. A key that no one sees by a rule of the attention itself, as Reformer's last, is real."""
        found: dict[tuple[str | None, int], np.ndarray] = {}
        for name, look in self.reading.looks.items():
            queries, keys = self.ends(stands[name])
            n, m = look.q.shape[2], look.k.shape[2]
            mask = look.q.new_ones(1, 1, 1, m, dtype=torch.bool) if look.mask is None else look.mask
            seen = mask.flatten(0, -2).any(0).expand(m).cpu().numpy()
            found[keys, m] = found.get((keys, m), np.zeros(m, bool)) | seen
            found.setdefault((queries, n), np.ones(n, bool))
        return {key: self.written(key[0], real) for key, real in found.items()}

    def written(self, space: str | None, real: np.ndarray) -> np.ndarray:
        """Less the padding at the end of the model's input, which a causal mask lets be seen."""
        ids = [x[0].cpu().numpy() for x in self.reading.inputs if x.dim() == 2]
        place = 1 if space in ("read", "target") else 0
        if self.pad is not None and len(ids) > place and len(ids[place]) == len(real):
            tokens = np.flatnonzero(ids[place] != self.pad)
            real = real & (np.arange(len(real)) <= tokens.max(initial=-1))
        return real if real.any() else np.ones_like(real)

    def attended(self, kind: str, look: Attended, rows: Side, columns: Side) -> None:
        layer = look.layer()
        relation = self.relation(kind, "attention", rows, columns)
        name = f"{relation}.{len(self.relations[relation].layers)}"
        one = self.add(relation, layer, Kept(layer, name, look.map(), self.arrays), rows.space == columns.space)
        if look.weights is not None:
            layer.weights = one.put("weights", look.weights)
        else:
            layer.q, layer.k = one.put("q", look.q()), one.put("k", look.k())
        if not layer.causal and not look.visible.all():
            layer.visible = self.mask(look.visible)
        half = torch.finfo(look.look.q.dtype).bits < 32
        if layer.error is not None and not layer.error < WRONG * (10 if half else 1):
            self.notes.append(
                f"What is shown of {look.name} differs from its real output by {layer.error:.2g}: it is not what "
                "happened, or the model was in training, where dropout changes it."
            )

    # ---- what all kinds share

    def relation(self, kind: str, of: str, rows: Side, columns: Side, note: str = "", same: bool = False) -> str:
        """Its name, numbered like its spaces where a model has more than one of the kind."""
        numbers = [side.space.partition("-")[2] for side in (rows, columns)]
        name = kind + "".join(f"-{number}" for number in dict.fromkeys(numbers) if number)
        if name not in self.relations:
            self.relations[name] = Relation(
                kind=of, title=TITLES[kind], queries=rows.space, keys=columns.space, layers=[], note=note,
                input_independent=same,
            )  # type: ignore[arg-type]  # fmt: skip
        return name

    def add(self, relation: str, layer: Layer, one: Kept, own: bool) -> Kept:
        whole = self.relations[relation]
        apart = distances(self.spaces.used[whole.keys], one.map.m) if own else None
        if whole.kind == "attention":
            layer.entropy, layer.distance = figures(one.map, apart)
        self.where[layer.module] = relation, len(whole.layers)
        whole.layers.append(layer)
        self.kept.append(one)
        return one

    def mask(self, visible: np.ndarray) -> Array:
        """The name of an array of who may be seen; layers with the same one share it."""
        content = bytes(str(visible.shape), "ascii") + np.packbits(visible).tobytes()
        if content not in self.masks:
            self.masks[content] = self.array(f"visible.{len(self.masks)}", visible.astype(np.uint8))
        return self.masks[content]

    def array(self, name: str, values: np.ndarray) -> Array:
        self.arrays[name] = values
        return Array(name)

    def done(self, budget: float) -> Collected:
        notes = [*self.notes, *self.spaces.notes, *within(self.kept, self.arrays, budget)]
        return Collected(
            self.spaces.used, self.relations, self.halting, self.buckets, self.permutations, self.arrays, notes
        )

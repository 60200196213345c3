"""A translator as two ONNX graphs: `encode.onnx` reads a source, `step.onnx` makes one more token, caches in and out.

The search stays in Python: `onnx_model.OnnxModel` offers the graphs to it as a model. Any order of layers and any kind
of positions can leave this way, for the graphs are traced from the model's own `init_cache` and `step`.
"""

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from allyouneed.nn.layer import PerSentence, select
from allyouneed.weights.plain import POSITIONS

ENCODE, STEP, FACTS = "encode.onnx", "step.onnx", "onnx.json"
OPSET = 20
BOTH = (torch.export.Dim("batch"), torch.export.Dim("beam"))  # one object for all tensors that share the axis


class Leaves(NamedTuple):
    """A cache taken apart: tensors that exist once per sentence, and those with a row per hypothesis."""

    sentence: list[Tensor]  # each b ...
    rows: list[Tensor]  # each r ...


def leaves(cache: Any) -> Leaves:
    """All tensors of a cache, in one fixed order."""
    if isinstance(cache, Tensor):
        return Leaves([], [cache])
    if isinstance(cache, PerSentence):
        return Leaves(list(cache.tensors), [])
    parts = [leaves(child) for child in cache]
    return Leaves([t for part in parts for t in part.sentence], [t for part in parts for t in part.rows])


def rebuilt(like: Any, sentence: Iterator[Tensor], rows: Iterator[Tensor]) -> Any:
    """A cache of the same make as `like`, from tensors in the order of `leaves`."""
    if isinstance(like, Tensor):
        return next(rows)
    if isinstance(like, PerSentence):
        return PerSentence(tuple(next(sentence) for _ in like.tensors))
    children = [rebuilt(child, sentence, rows) for child in like]
    return type(like)(*children) if hasattr(like, "_fields") else type(like)(children)


class TablePositions(nn.Module):
    """A fixed table of positions, read without asking how long it is: a question would bind the graph to one answer."""

    table: Tensor  # n d

    def __init__(self, table: Tensor):
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return x + self.table[torch.arange(x.shape[1], device=x.device)]

    def at(self, x: Tensor, position: Any) -> Tensor:  # r 1 d -> r 1 d
        return x + self.table[torch.zeros(1, dtype=torch.long, device=x.device) + position]


class Encode(nn.Module):
    """source b m -> the tensors of the first cache."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, source: Tensor) -> tuple[Tensor, ...]:
        found = leaves(self.model.init_cache(source))
        return (*found.sentence, *found.rows)


class Step(nn.Module):
    """ids b k, sentence tensors b ..., row tensors b k ... -> logits b k v, row tensors b k ...

    Batch and beam are two axes here, for the graph must know that the rows are a whole number of hypotheses a sentence.
    """

    def __init__(self, model: Any, like: Any):
        super().__init__()
        self.model, self.like = model, like

    def forward(self, ids: Tensor, sentence: list[Tensor], rows: list[Tensor]) -> tuple[Tensor, ...]:
        cache = rebuilt(self.like, iter(sentence), iter([row.flatten(0, 1) for row in rows]))
        logits, after = self.model.step(ids.flatten(), cache)
        split = (ids.shape[0], ids.shape[1])
        return tuple(tensor.unflatten(0, split) for tensor in (logits, *leaves(after).rows))


def obstacles(settings: Any) -> list[str]:
    """Nothing: see above."""
    return []


@torch.no_grad()
def write(model: nn.Module, folder: Path, longest: int) -> list[str]:
    """Writes both graphs and how their tensors are named; returns what a user should know."""
    length = max(POSITIONS, longest)
    model = with_tables(model, length)
    source = torch.tensor([[5, 6, 7, 2], [5, 6, 2, 0], [5, 2, 0, 0]])
    cache = model.init_cache(source)  # type: ignore[operator]
    first, wide = leaves(cache), select(cache, torch.arange(3).repeat_interleave(2))  # two hypotheses a sentence
    for _ in range(2):  # lengths of 0 and 1 would be taken for constants
        _, wide = model.step(torch.full((6,), 5), wide)  # type: ignore[operator]
    sentence, rows = leaves(wide)
    rows = [row.unflatten(0, (3, 2)) for row in rows]
    encoded = [*_names("sentence", sentence), *_names("row", rows)]
    export_graph(Encode(model), (source,), (_dynamic(source, BOTH[:1]),), folder / ENCODE, ["source"], encoded)
    given = [*_names("sentence", sentence), *_names("row", rows)]
    made = ["logits", *_names("next_row", rows)]
    ids = torch.full((3, 2), 5)
    shapes = (_dynamic(ids, BOTH), _dynamic(sentence, BOTH[:1]), _dynamic(rows, BOTH))
    export_graph(Step(model, wide), (ids, sentence, rows), shapes, folder / STEP, ["ids", *given], made)
    facts = {"sentence": len(sentence), "rows": len(first.rows), "positions": length}
    (folder / FACTS).write_text(json.dumps(facts, indent=1))
    return [f"positions reach to {length:,}; allyouneed.recipes.export.load_onnx(FOLDER) translates with the graphs"]


def with_tables(model: nn.Module, length: int) -> nn.Module:
    """A copy of the model whose positions are fixed tables: the sinusoids' for `length` places, learned ones' as long
    as they are."""
    model = copy.deepcopy(model).float().cpu().eval()
    for side in (getattr(model, "source", None), getattr(model, "target", None)):
        positions: Any = getattr(side, "positions", None)
        if positions is None:  # a model that knows no positions
            continue
        learned = dict(positions.named_parameters()).get("table")
        table = positions.codes(length) if learned is None else learned
        side.positions = TablePositions(table.detach().clone())  # type: ignore[union-attr]
    return model


def _names(kind: str, tensors: list[Tensor]) -> list[str]:
    return [f"{kind}_{i}" for i in range(len(tensors))]


def _dynamic(given: Any, leading: tuple[Any, ...]) -> Any:
    """Every axis may vary; `leading` are the first ones, which all tensors share. What cannot vary, such as the
    width, the tracer finds by itself."""
    if isinstance(given, Tensor):
        others = [torch.export.Dim.AUTO] * (given.dim() - len(leading))
        return dict(enumerate([*leading, *others]))
    return [_dynamic(part, leading) for part in given]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings about itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@_quiet()
def export_graph(module: nn.Module, given: Any, shapes: Any, path: Path, inputs: list[str], outputs: list[str]) -> None:
    program = torch.export.export(module.eval(), given, dynamic_shapes=shapes)
    torch.onnx.export(
        program, (), str(path), dynamo=True, external_data=False, opset_version=OPSET, verbose=False,
        input_names=inputs, output_names=outputs,
    )  # fmt: skip

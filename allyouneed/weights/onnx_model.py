"""ONNX graphs as a model that the searches can decode: `init_cache` and `step` run in ONNX Runtime."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from allyouneed.errors import UserError
from allyouneed.nn.layer import PerSentence
from allyouneed.weights.export_onnx import ENCODE, FACTS, STEP


class OnnxCache(NamedTuple):
    """See `nn.layer.select`, which reorders it."""

    sentence: PerSentence  # each b ...
    rows: tuple[Tensor, ...]  # each r ...


class OnnxModel:
    """What `export --to onnx` wrote, on the CPU. `threads` 0 leaves their number to ONNX Runtime."""

    def __init__(self, folder: str | Path, threads: int = 0):
        import onnxruntime

        folder = Path(folder)
        missing = [name for name in (ENCODE, STEP, FACTS) if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"{folder} holds no {' and no '.join(missing)}; give the folder that export --to onnx wrote"
            )
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        self.sentence, self.rows, self.positions = (int(facts[key]) for key in ("sentence", "rows", "positions"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        graphs = (str(folder / name) for name in (ENCODE, STEP))
        self.encoder, self.stepper = (
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]) for graph in graphs
        )

    def init_cache(self, source: Tensor) -> OnnxCache:  # b m
        found = _run(self.encoder, [source])
        return OnnxCache(PerSentence(tuple(found[: self.sentence])), tuple(found[self.sentence :]))

    def step(self, ids: Tensor, cache: OnnxCache) -> tuple[Tensor, OnnxCache]:  # r -> r v
        sentences = cache.sentence.tensors[0].shape[0]
        split = (sentences, len(ids) // sentences)
        rows = [row.unflatten(0, split) for row in cache.rows]
        logits, *after = (
            t.flatten(0, 1) for t in _run(self.stepper, [ids.view(split), *cache.sentence.tensors, *rows])
        )
        return logits, OnnxCache(cache.sentence, tuple(after))

    def parameters(self) -> Iterator[Tensor]:
        """One empty tensor: it tells a `Translator` the device."""
        yield torch.empty(0)

    def eval(self) -> "OnnxModel":
        return self


def _run(session: Any, given: list[Tensor]) -> list[Tensor]:
    names = [entry.name for entry in session.get_inputs()]
    feed = {name: tensor.contiguous().numpy() for name, tensor in zip(names, given, strict=True)}
    return [torch.from_numpy(array) for array in session.run(None, feed)]

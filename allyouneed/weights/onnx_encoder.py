"""An encoder as one ONNX graph, ids and segments to logits, and the graph run by ONNX Runtime."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.errors import UserError

GRAPH, FACTS = "model.onnx", "onnx.json"
OPSET = 20


class Plain(nn.Module):
    """The model with its answers as a plain tuple."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, segments: Tensor) -> tuple[Tensor, ...]:  # b n, b n
        answer = self.model(ids, segments)
        return (answer,) if isinstance(answer, Tensor) else tuple(part for part in answer if part is not None)


@torch.no_grad()
def write(
    task: str, model: nn.Module, config: Any, subwords: EncoderSubwords, folder: Path, labels: list[str] | None = None
) -> list[str]:  # fmt: skip
    """Writes the graph, the tokenizer and what the outputs mean; returns what a user should know."""
    ids = torch.tensor([[5, 6, 7], [5, 6, config.pad]]) % config.vocab_size
    module = Plain(model.float().cpu().eval())
    outputs = ["logits", "pair"][: len(module(ids, torch.zeros_like(ids)))]
    _export(module, ids, config.positions_length, folder / GRAPH, outputs)
    subwords.save(folder / "tokenizer.json")
    facts = {"task": task, "labels": labels, "longest": config.positions_length, "pad": config.pad}
    (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False))
    return [f"inputs are input_ids and token_type_ids; id {config.pad} is padding, so there is no attention_mask"]


def _export(module: nn.Module, ids: Tensor, longest: int, path: Path, outputs: list[str]) -> None:
    """Without the exporter's warnings about itself."""
    shape = {0: Dim("batch"), 1: Dim("length", max=longest)}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, (ids, torch.zeros_like(ids)), dynamic_shapes=(shape, shape))
            torch.onnx.export(
                program, (), str(path), dynamo=True, external_data=False, opset_version=OPSET, verbose=False,
                input_names=["input_ids", "token_type_ids"], output_names=outputs,
            )  # fmt: skip
    finally:
        logging.disable(before)


class OnnxEncoder:
    """What `write` wrote, on the CPU: `encoder(ids, segments)` as the model's own. `threads` 0 leaves them to ONNX."""

    def __init__(self, folder: str | Path, threads: int = 0):
        import onnxruntime

        folder = Path(folder)
        if not (folder / GRAPH).is_file():
            raise UserError(f"{folder} holds no {GRAPH}; give the folder that export --to onnx wrote")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(folder / GRAPH), options, providers=["CPUExecutionProvider"])

    def __call__(self, ids: Tensor, segments: Tensor | None = None) -> list[Tensor]:
        segments = torch.zeros_like(ids) if segments is None else segments
        given = {"input_ids": ids.numpy(), "token_type_ids": segments.numpy()}
        return [torch.from_numpy(array) for array in self.session.run(None, given)]

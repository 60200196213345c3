"""An image classifier as one ONNX graph, images to logits, and the graph run by ONNX Runtime."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from allyouneed.errors import UserError
from allyouneed.weights.export_onnx import export_graph

GRAPH, FACTS = "model.onnx", "onnx.json"


@torch.no_grad()
def write(
    model: nn.Module, c: Any, labels: list[str], mean: tuple[float, ...], std: tuple[float, ...], folder: Path
) -> list[str]:
    """Writes the graph, and what its input and its outputs mean; returns what a user should know."""
    plain = copy.deepcopy(model).float().cpu().eval()
    images = torch.zeros(2, c.channels, c.image_size, c.image_size)
    export_graph(plain, (images,), ({0: Dim("batch", min=1)},), folder / GRAPH, ["images"], ["logits"])
    facts = {
        "labels": labels, "mean": list(mean), "std": list(std), "image_size": c.image_size, "channels": c.channels,
    }  # fmt: skip
    (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False))
    return [f"images are b {c.channels} {c.image_size} {c.image_size}: (pixels / 255 - mean) / std, see {FACTS}"]


class OnnxClassifier:
    """What `write` wrote, on the CPU: `classifier(images)` as the model's own. `threads` 0 leaves them to ONNX."""

    def __init__(self, folder: str | Path, threads: int = 0):
        import onnxruntime

        folder = Path(folder)
        missing = [name for name in (GRAPH, FACTS) if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"{folder} holds no {' and no '.join(missing)}; give the folder that export --to onnx wrote"
            )
        self.facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(folder / GRAPH), options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> Tensor:  # b c y x -> b classes
        return torch.from_numpy(self.session.run(None, {"images": images.float().contiguous().numpy()})[0])

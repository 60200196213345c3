"""What runs of encoders share: their pieces in the run folder, weights to begin from, and texts as vectors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.job import Kind, build
from allyouneed.settings import override
from allyouneed.training.checkpoint import write_text
from allyouneed.training.memory import keep_freed_memory


def save_subwords(subwords: EncoderSubwords, folder: Path) -> None:
    subwords.tokenizer.encode_special_tokens = False
    write_text(folder / "tokenizer.json", subwords.tokenizer.to_str(pretty=True))


def load_subwords(folder: Path) -> EncoderSubwords:
    path = folder / "tokenizer.json"
    if not path.exists():
        raise UserError(f"{folder} holds no tokenizer.json, so it is not a whole run; was it copied without it?")
    return EncoderSubwords.load(path)


def save_labels(labels: Sequence[str], folder: Path) -> None:
    write_text(folder / "labels.json", json.dumps(list(labels), ensure_ascii=False))


def load_labels(folder: Path, count: int) -> list[str]:
    """The names of the classes in the order of the model's answers."""
    path = folder / "labels.json"
    try:
        labels = [str(label) for label in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged ({type(error).__name__}); restore it from a copy") from None
    if len(labels) != count:
        raise UserError(
            f"{path} names {len(labels)} labels and the model of config.yaml has {count}, so one of them is another "
            "run's; restore it from a copy"
        )
    return labels


def fitted(settings: Any, subwords: EncoderSubwords) -> Any:
    """The settings with the size of the vocabulary, its padding, and positions for the longest text."""
    longest = max(settings.data.length, settings.model.positions_length)
    numbers = {"vocab_size": len(subwords), "positions_length": longest, "pad": subwords.marks.pad}
    return override(settings, [f"model.{name}={number}" for name, number in numbers.items()])


class EncoderRun:
    """A trained encoder with its pieces; the subclasses add what its head is for."""

    kind: Kind
    labels: list[str] | None = None  # names of the classes, where the head has some

    def __init__(self, folder: str | Path, device: str | None = None):
        keep_freed_memory()
        self.folder = Path(folder)
        self.settings = run_folder.stored_settings(self.folder, self.kind)
        self.subwords = load_subwords(self.folder)
        if len(self.subwords) > self.settings.model.vocab_size:
            raise UserError(
                f"the tokenizer in {self.folder} has {len(self.subwords):,} pieces and the model of config.yaml "
                f"{self.settings.model.vocab_size:,}, so one of them is another run's; restore it from a copy"
            )
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = run_folder.load_weights(build(self.kind, self.settings), self.folder / "model.safetensors")
        self.model: Any = model.to(self.device)

    @torch.no_grad()
    def hidden_states(self, ids: Tensor) -> Tensor:  # b n -> b n d
        """The last layer; padding (`model.pad`) is not seen."""
        return self.model.encode(ids.to(self.device))

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch: int = 64) -> Tensor:  # -> texts d
        """One vector for each text: the mean of its last layer over its pieces, marks included."""
        rows = [self.subwords.single(ids, self.settings.model.positions_length).ids
                for ids in self.subwords.encode(list(texts))]  # fmt: skip
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        out = torch.zeros(len(rows), self.settings.model.dim)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            ids = nn.utils.rnn.pad_sequence(
                [torch.tensor(rows[i]) for i in part], batch_first=True, padding_value=self.subwords.marks.pad
            )
            real = (ids != self.subwords.marks.pad)[..., None].float()
            hidden = self.hidden_states(ids).float().cpu()
            out[part] = (hidden * real).sum(1) / real.sum(1)
        return out

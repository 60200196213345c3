"""A class for each text, or for each pair of texts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.batches import TokenStore, plan
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.labelled import Labelled
from allyouneed.tasks.classification_scores import confusion, scores
from allyouneed.tasks.task import Group, by_rate
from allyouneed.tasks.tuning import TuningSettings, rates


class TextBatch(NamedTuple):
    """Texts as a model reads them, with their classes."""

    ids: Tensor  # b n
    segments: Tensor  # b n
    classes: Tensor  # b


class Marked(NamedTuple):
    """Many texts with their marks."""

    ids: TokenStore
    segments: TokenStore
    classes: np.ndarray  # int64

    @classmethod
    def of(cls, texts: Labelled, classes: Sequence[int], subwords: EncoderSubwords, longest: int) -> "Marked":
        first = subwords.encode(texts.first)
        if texts.second:
            second = subwords.encode(texts.second)
            rows = [subwords.pair(a, b, longest) for a, b in zip(first, second, strict=True)]
        else:
            rows = [subwords.single(ids, longest) for ids in first]
        return cls(
            TokenStore.of([row.ids for row in rows]),
            TokenStore.of([row.segments for row in rows]),
            np.asarray(classes, dtype=np.int64),
        )

    def batch(self, rows: np.ndarray, pad: int) -> TextBatch:
        ids = torch.from_numpy(self.ids.padded(rows, pad=pad))
        return TextBatch(ids, torch.from_numpy(self.segments.padded(rows)), torch.from_numpy(self.classes[rows]))


class TextClassificationTask:
    """See `Task`. The score that chooses between models is `metric`: accuracy, f1 or mcc."""

    players: Sequence[str] = ("model",)

    def __init__(
        self, train: Marked, val: Marked, classes: int, batch_tokens: int, seed: int, pad: int, metric: str = "accuracy",
        smoothing: float = 0.0, class_weights: Sequence[float] | None = None,
        tuning: TuningSettings | None = None,
    ):  # fmt: skip
        self.train, self.val, self.classes = train, val, classes
        self.batch_tokens, self.seed, self.pad, self.metric = batch_tokens, seed, pad, metric
        self.smoothing, self.tuning = smoothing, tuning or TuningSettings()
        self.class_weights = None if class_weights is None else torch.tensor(class_weights)

    def plan(self, epoch: int) -> list[np.ndarray]:
        return list(plan(self.train.ids.lengths[None], self.batch_tokens, self.seed, epoch))

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        return len(batch)

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        return int(self.train.ids.lengths[batch].sum())

    def collate(self, batch: np.ndarray, epoch: int) -> TextBatch:
        return self.train.batch(batch, self.pad)

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return by_rate(model, rates(model, self.tuning))

    def loss(self, model: nn.Module, batch: TextBatch, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(batch.ids, batch.segments).float()
        weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        loss = nn.functional.cross_entropy(
            logits, batch.classes, weights, reduction="sum", label_smoothing=self.smoothing
        )
        nll = nn.functional.cross_entropy(logits.detach(), batch.classes, reduction="sum")
        return loss, {"loss": loss.detach(), "nll": nll}

    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        logits = read(model, self.val, self.pad, self.batch_tokens)
        found = scores(confusion(self.val.classes, logits.argmax(-1).numpy(), self.classes))
        nll = nn.functional.cross_entropy(logits, torch.from_numpy(self.val.classes))
        return {**found, "dev_nll": float(nll)}


@torch.no_grad()
def read(model: nn.Module, texts: Marked, pad: int, batch_tokens: int = 8192) -> Tensor:  # rows c
    """Logits of every text, in its order."""
    model.eval()
    device = next(model.parameters()).device
    out: list[Tensor] = []
    order: list[np.ndarray] = []
    for rows in plan(texts.ids.lengths[None], batch_tokens, 0, 0):
        batch = texts.batch(rows, pad)
        out.append(model(batch.ids.to(device), batch.segments.to(device)).float().cpu())
        order.append(rows)
    found = torch.cat(out)
    result = torch.empty_like(found)
    result[torch.from_numpy(np.concatenate(order))] = found
    return result

"""Language models: predict each token of running text from those before it, judged in bits per byte."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.subwords import BOS, EOS
from allyouneed.nn.heads import NO_SMOOTHING, Smoothing
from allyouneed.tasks.task import Group, trainable

QUICK = 100_000  # validation tokens that judge in the middle of training


class Window(NamedTuple):
    """A batch of windows: `read` begins with the start token, `write` is what follows each token."""

    read: Tensor  # b n
    write: Tensor  # b n


class HeldOut(NamedTuple):
    """Text that is not trained on, with what its loss is divided by."""

    ids: np.ndarray  # int32, n
    bytes: int
    characters: int

    @classmethod
    def of(cls, ids: np.ndarray, documents: Sequence[str]) -> "HeldOut":
        return cls(ids, sum(len(text.encode()) for text in documents), sum(map(len, documents)))


class Scores(NamedTuple):
    """Sums of minus log-probabilities over a text."""

    nll: float
    tokens: int

    def per(self, text: HeldOut) -> dict[str, float]:
        """Perplexity per token, and bits per byte and per character, which do not depend on what a token is.

        The end token that closes a document is predicted too and counts as part of the text.
        """
        share = self.tokens / max(len(text.ids), 1)  # a quick look reads a part
        bits = self.nll / math.log(2)
        return {
            "nll": self.nll / self.tokens,
            "perplexity": math.exp(min(self.nll / self.tokens, 50.0)),
            "bits_per_byte": bits / (text.bytes * share),
            "bits_per_character": bits / (text.characters * share),
        }


class LanguageModelTask:
    """See `Task`. An epoch reads the stream once, cut into windows at a place that the seed and the epoch decide."""

    metric = "minus_bits_per_byte"
    players: Sequence[str] = ("model",)

    def __init__(
        self, train: np.ndarray, val: HeldOut, length: int, batch_tokens: int, seed: int,
        smoothing: Smoothing = NO_SMOOTHING,
    ):  # fmt: skip
        self.train, self.val, self.length, self.seed, self.smoothing = train, val, length, seed, smoothing
        self.windows = max(1, batch_tokens // length)

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Batches as the places at which their windows begin."""
        draw = np.random.default_rng([self.seed, epoch])
        spare = max(0, len(self.train) - self.length)
        first = int(draw.integers(min(self.length, spare + 1)))
        starts = draw.permutation(np.arange(first, spare + 1, self.length))
        return [starts[i : i + self.windows] for i in range(0, len(starts), self.windows)]

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        return len(batch) * min(self.length, len(self.train))

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        return self.weight(batch, epoch)

    def collate(self, batch: np.ndarray, epoch: int) -> Window:
        width = min(self.length, len(self.train))
        return window(self.train[batch[:, None] + np.arange(width)])

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return trainable(model)

    def loss(self, model: nn.Module, batch: Window, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        result = model.head.loss(model.hidden(batch.read), batch.write, self.smoothing)  # type: ignore[union-attr, operator]
        return result.loss, {"loss": result.loss.detach(), "nll": result.nll}

    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        """The dev text, read in windows that do not overlap where `quick`."""
        text = self.val
        ids = text.ids[:QUICK] if quick else text.ids
        found = read(model, ids, self.length, stride=self.length if quick else max(1, self.length // 2)).per(text)
        scores = {f"dev_{name}" if name == "nll" else name: value for name, value in found.items()}
        return {self.metric: -found["bits_per_byte"], **scores}


def window(write: np.ndarray) -> Window:  # b n
    """What is read before each token: the start, then the tokens themselves."""
    written = torch.from_numpy(write.astype(np.int64))
    begin = torch.full((len(written), 1), BOS)
    shifted = torch.cat([begin, written[:, :-1]], dim=1)
    return Window(torch.where(shifted == EOS, BOS, shifted), written)  # a document begins as every text does


@torch.no_grad()
def read(model: nn.Module, ids: np.ndarray, length: int, stride: int, windows: int = 16) -> Scores:
    """Minus the log-probability of every token, each with at least `length - stride` tokens before it where there are.

    Windows of `length` tokens are moved on by `stride`; of each but the first only the last `stride` tokens count,
    so that every token counts once.
    """
    model.eval()
    device, nll, counted = next(model.parameters()).device, 0.0, 0
    ends = [*range(min(length, len(ids)), len(ids), stride), len(ids)]
    places = [(max(0, end - length), end, end - before) for before, end in zip([0, *ends], ends, strict=False)]
    for width in sorted({end - start for start, end, _ in places}, reverse=True):
        same = [place for place in places if place[1] - place[0] == width]
        for i in range(0, len(same), windows):
            group = same[i : i + windows]
            batch = window(np.stack([ids[start:end] for start, end, _ in group]))
            new = torch.tensor([fresh for *_, fresh in group])
            counts = torch.arange(width) >= width - new[:, None]  # b n
            hidden = model.hidden(batch.read.to(device))  # type: ignore[operator]
            result = model.head.loss(hidden, batch.write.masked_fill(~counts, 0).to(device))  # type: ignore[union-attr, operator]
            nll, counted = nll + float(result.nll), counted + result.tokens
    return Scores(nll, counted)

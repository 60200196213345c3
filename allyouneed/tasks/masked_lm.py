"""Pre-training encoders: words hidden and guessed, and whether two texts belong together.

A document is its sentences in pieces. An instance is two runs of sentences, `[CLS] a [SEP] b [SEP]`, some pieces of
which are hidden. Everything is drawn from (seed, epoch, row), so a resumed run sees the same masks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.batches import plan
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.masking import Hiding
from allyouneed.data.sentence_pairs import Instance, Instances
from allyouneed.nn.encoder_heads import NOTHING
from allyouneed.tasks.task import Group, trainable


class MaskedBatch(NamedTuple):
    """Texts with hidden words."""

    ids: Tensor  # b n
    segments: Tensor  # b n
    words: Tensor  # b n: the word where one is asked for, NOTHING elsewhere
    pairs: Tensor  # b: 1 where the second text is a random one, or the two are swapped


class Short(NamedTuple):
    """What the first batches of a run are made of: shorter instances, which cost less (BERT, appendix A.2)."""

    train: Instances
    batches: int


class MaskedLMTask:
    """See `Task`. Loss: the mean over hidden words plus `pair_weight` times the mean over pairs, as BERT adds them."""

    metric = "masked_accuracy"
    players: Sequence[str] = ("model",)

    def __init__(
        self, train: Instances, val: Instances, subwords: EncoderSubwords, hiding: Hiding, batch_tokens: int, seed: int,
        dynamic: bool = True, pair_weight: float = 1.0,
        short: Short | None = None,
    ):  # fmt: skip
        self.train, self.val, self.subwords, self.hiding = train, val, subwords, hiding
        self.batch_tokens, self.seed, self.dynamic, self.pair_weight = batch_tokens, seed, dynamic, pair_weight
        self.short, self._per_epoch = short, 0
        self._epoch, self._rows, self._batches = -1, list[Instance](), list[np.ndarray]()

    def _instances(self, epoch: int) -> list[Instance]:
        """The epoch's instances; texts are paired anew each epoch, or, where masks are static, once."""
        if epoch != self._epoch:
            self._rows, self._batches = self._mixed(epoch)
            self._epoch = epoch
        return self._rows

    def _made(self, instances: Instances, epoch: int) -> tuple[list[Instance], list[np.ndarray]]:
        rows = instances.made(self.seed, epoch if self.dynamic else 0)
        lengths = np.array([[len(row.ids) for row in rows]])
        return rows, list(plan(lengths, self.batch_tokens, self.seed, epoch))

    def _mixed(self, epoch: int) -> tuple[list[Instance], list[np.ndarray]]:
        """Short instances for as many batches as are left of them, then the others from the same share of the epoch on.

        How many are left is counted in epochs as long as the first, so that no earlier one has to be made for it.
        """
        if self.short is None:
            return self._made(self.train, epoch)
        self._per_epoch = self._per_epoch or len(self._made(self.short.train, 0)[1])
        left = max(self.short.batches - epoch * self._per_epoch, 0)
        if left >= self._per_epoch:
            return self._made(self.short.train, epoch)
        rows, batches = self._made(self.train, epoch)
        if not left:
            return rows, batches
        first, begin = self._made(self.short.train, epoch)
        rest = batches[round(len(batches) * left / self._per_epoch) :]
        return [*first, *rows], [*begin[:left], *(batch + len(first) for batch in rest)]

    def plan(self, epoch: int) -> list[np.ndarray]:
        self._instances(epoch)
        return self._batches

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        """Hidden words: the loss is a mean over them."""
        rows = self._instances(epoch)
        return sum(self.hiding.count(rows[i]) for i in batch)

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        rows = self._instances(epoch)
        return sum(len(rows[i].ids) for i in batch)

    def collate(self, batch: np.ndarray, epoch: int) -> MaskedBatch:
        rows = self._instances(epoch)
        epoch = epoch if self.dynamic else 0
        return self.batch([rows[i] for i in batch], [np.random.default_rng([self.seed, epoch, int(i)]) for i in batch])

    def batch(self, rows: Sequence[Instance], draws: Sequence[np.random.Generator]) -> MaskedBatch:
        """Instances with some of their words hidden, padded."""
        width = max(len(row.ids) for row in rows)
        ids = np.full((len(rows), width), self.subwords.marks.pad, dtype=np.int64)
        segments = np.zeros((len(rows), width), dtype=np.int64)
        words = np.full((len(rows), width), NOTHING, dtype=np.int64)
        for i, (row, draw) in enumerate(zip(rows, draws, strict=True)):
            n = len(row.ids)
            places, shown = self.hiding.hide(row, draw)
            ids[i, :n], segments[i, :n] = row.ids, row.segments
            words[i, places] = ids[i, places]
            ids[i, places] = shown
        pairs = torch.tensor([row.other for row in rows], dtype=torch.long)
        return MaskedBatch(torch.from_numpy(ids), torch.from_numpy(segments), torch.from_numpy(words), pairs)

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return trainable(model)

    def loss(self, model: nn.Module, batch: MaskedBatch, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        hidden = model.encode(batch.ids, batch.segments)  # type: ignore[operator]
        words = model.head.loss(hidden, batch.words)  # type: ignore[union-attr, operator]
        sums = {"loss": words.loss.detach(), "nll": words.nll}
        total = words.loss
        if model.pair_head is not None:
            pairs = model.pair_head.loss(model.pool(hidden), batch.pairs)  # type: ignore[operator, union-attr]
            # The engine divides by the hidden words of a batch; the pairs' mean must come through that unchanged.
            share = self.pair_weight * words.tokens / max(pairs.tokens, 1)
            total = total + share * pairs.loss
            sums["pair_loss"] = (share * pairs.loss).detach()
        return total, sums

    @torch.no_grad()
    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        """Held-out accuracy of hidden words and of pairs, always over the same masks."""
        model.eval()
        device = next(model.parameters()).device
        rows = self.val.made(0, 0)
        rows = rows[:1000] if quick else rows
        sums = np.zeros(5)
        for part in plan(np.array([[len(row.ids) for row in rows]]), 2 * self.batch_tokens, 0, 0):
            batch = self.batch([rows[i] for i in part], [np.random.default_rng([0, 0, int(i)]) for i in part])
            sums += _judged(model, MaskedBatch(*(tensor.to(device) for tensor in batch)))
        words, right, nll, pairs, paired = sums.tolist()
        scores = {"masked_accuracy": right / max(words, 1), "dev_nll": nll / max(words, 1)}
        return {**scores, "pair_accuracy": paired / pairs} if pairs else scores


def _judged(model: nn.Module, batch: MaskedBatch) -> np.ndarray:
    """Hidden words, those guessed, their loss; pairs, those guessed."""
    hidden = model.encode(batch.ids, batch.segments)  # type: ignore[operator]
    asked = batch.words != NOTHING
    guesses = model.head.logits(hidden[asked]).float()  # type: ignore[union-attr, operator]
    wanted = batch.words[asked]
    right = (guesses.argmax(-1) == wanted).sum()
    nll = nn.functional.cross_entropy(guesses, wanted, reduction="sum")
    if model.pair_head is None:
        return np.array([len(wanted), float(right), float(nll), 0.0, 0.0])
    found = model.pair_head.logits(model.pool(hidden)).argmax(-1)  # type: ignore[operator, union-attr]
    return np.array([len(wanted), float(right), float(nll), len(found), float((found == batch.pairs).sum())])

"""A tag for each word. The first piece of a word answers for it; other pieces and marks are not asked."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.batches import TokenStore, plan
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.nn.encoder_heads import NOTHING, asked
from allyouneed.tasks.entities import has_entities, tag_scores
from allyouneed.tasks.task import Group, by_rate
from allyouneed.tasks.tuning import TuningSettings, rates


class TaggedBatch(NamedTuple):
    """Sentences in pieces, with the tags of first pieces."""

    ids: Tensor  # b n
    tags: Tensor  # b n, NOTHING where no word begins


class Part(NamedTuple):
    """A sentence, or as much of a long one as fits, as a model reads it."""

    ids: list[int]
    places: list[int]  # where each of its words begins


def parts_of(words: Sequence[str], subwords: EncoderSubwords, longest: int) -> list[Part]:
    """A sentence as parts of at most `longest` pieces, marks included, cut between words; every word is in one.

    A word that leaves no piece (a control character) becomes an unknown one, and one longer than a part loses its end.
    """
    marks, room = subwords.marks, longest - 2
    read = subwords.words(words)
    pieces: list[list[int]] = [[] for _ in words]
    for index, word in zip(read.ids, read.word, strict=True):
        pieces[word].append(index)
    parts = [Part([marks.cls], [])]
    for own in pieces:
        own = (own or [marks.unk])[:room]
        if len(parts[-1].ids) - 1 + len(own) > room:
            parts.append(Part([marks.cls], []))
        parts[-1].places.append(len(parts[-1].ids))
        parts[-1].ids.extend(own)
    for part in parts:
        part.ids.append(marks.sep)
    return parts


class Sentences(NamedTuple):
    """Many sentences in parts."""

    ids: TokenStore
    tags: TokenStore  # NOTHING where no word begins
    sentence: np.ndarray  # int64, the sentence of each part; those of one follow each other
    lengths: list[int]  # words of each sentence

    @classmethod
    def of(
        cls, words: Sequence[Sequence[str]], tags: Sequence[Sequence[int]], subwords: EncoderSubwords, longest: int
    ) -> "Sentences":
        ids, targets, sentence = [], [], []
        for row, (own, wanted) in enumerate(zip(words, tags, strict=True)):
            left = iter(wanted)
            for part in parts_of(own, subwords, longest):
                target = np.full(len(part.ids), NOTHING)
                target[part.places] = [next(left) for _ in part.places]
                ids.append(part.ids)
                targets.append(target.tolist())
                sentence.append(row)
        return cls(
            TokenStore.of(ids), TokenStore.of(targets), np.array(sentence, dtype=np.int64), [len(w) for w in words]
        )

    def batch(self, rows: np.ndarray, pad: int) -> TaggedBatch:
        tags = self.tags.padded(rows, pad=NOTHING)
        return TaggedBatch(torch.from_numpy(self.ids.padded(rows, pad=pad)), torch.from_numpy(tags))


class TaggingTask:
    """See `Task`. The score that chooses between models is `metric`: f1 of entities, or accuracy of words."""

    players: Sequence[str] = ("model",)

    def __init__(
        self, train: Sentences, val: Sentences, true: Sequence[Sequence[str]], labels: Sequence[str], batch_tokens: int,
        seed: int, pad: int, metric: str = "auto", smoothing: float = 0.0, tuning: TuningSettings | None = None,
    ):  # fmt: skip
        self.train, self.val, self.true, self.labels = train, val, true, labels
        self.batch_tokens, self.seed, self.pad, self.smoothing = batch_tokens, seed, pad, smoothing
        self.tuning = tuning or TuningSettings()
        self.metric = metric if metric != "auto" else "f1" if has_entities(labels) else "accuracy"

    def plan(self, epoch: int) -> list[np.ndarray]:
        return list(plan(self.train.ids.lengths[None], self.batch_tokens, self.seed, epoch))

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        """Tagged words: the loss is a mean over them."""
        return int((self.train.tags.padded(batch, pad=NOTHING) != NOTHING).sum())

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        return int(self.train.ids.lengths[batch].sum())

    def collate(self, batch: np.ndarray, epoch: int) -> TaggedBatch:
        return self.train.batch(batch, self.pad)

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return by_rate(model, rates(model, self.tuning))

    def loss(self, model: nn.Module, batch: TaggedBatch, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        hidden, targets = asked(model.encode(batch.ids), batch.tags)  # type: ignore[operator]
        logits = model.head.logits(hidden).float()  # type: ignore[union-attr, operator]
        loss = nn.functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=self.smoothing)
        nll = nn.functional.cross_entropy(logits.detach(), targets, reduction="sum")
        return loss, {"loss": loss.detach(), "nll": nll}

    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        found = [row.argmax(-1).tolist() for row in read(model, self.val, self.pad, self.batch_tokens)]
        return tag_scores(self.true, [[self.labels[i] for i in row] for row in found], has_entities(self.labels))


@torch.no_grad()
def read(model: nn.Module, sentences: Sentences, pad: int, batch_tokens: int = 8192) -> list[Tensor]:  # each words c
    """Logits of every word, sentence by sentence in their order."""
    model.eval()
    device = next(model.parameters()).device
    parts: dict[int, Tensor] = {}
    for rows in plan(sentences.ids.lengths[None], batch_tokens, 0, 0):
        batch = sentences.batch(rows, pad)
        logits = model(batch.ids.to(device)).float().cpu()
        parts |= {int(row): logits[i, batch.tags[i] != NOTHING] for i, row in enumerate(rows)}
    whole: list[list[Tensor]] = [[] for _ in sentences.lengths]
    for row, sentence in enumerate(sentences.sentence.tolist()):
        whole[sentence].append(parts[row])
    return [torch.cat(own) for own in whole]

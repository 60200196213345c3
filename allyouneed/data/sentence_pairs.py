"""Two runs of sentences from documents: what BERT and ALBERT are pre-trained on.

next-sentence   b follows a, or (half the time) comes from another document; class 1 is the random one
sentence-order  b follows a, or the two are swapped; class 1 is swapped
none            one run of sentences, no second text
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from allyouneed.data.encoder_subwords import EncoderSubwords

SHORT = 0.1  # instances that are short on purpose, so that fine-tuning on short texts is no surprise (BERT's code)


class Instance(NamedTuple):
    """A text or two with their marks."""

    ids: list[int]
    segments: list[int]
    other: int  # 1: the second text is a random one, or the two are swapped


class Instances:
    """Documents in pieces (document -> sentences -> ids), from which pairs are drawn anew for each epoch."""

    def __init__(self, documents: Sequence[Sequence[Sequence[int]]], subwords: EncoderSubwords, length: int, pair: str):
        self.documents = [[list(s) for s in document if len(s)] for document in documents]
        self.documents = [document for document in self.documents if document]
        self.subwords, self.length, self.pair = subwords, length, pair

    def made(self, seed: int, epoch: int) -> list[Instance]:
        """All instances of an epoch, a pure function of (seed, epoch)."""
        draw = np.random.default_rng([seed, epoch])
        return [instance for i in range(len(self.documents)) for instance in self._of(i, draw)]

    def _of(self, index: int, draw: np.random.Generator) -> list[Instance]:
        """The document in chunks of about the length, each made an instance."""
        document, out = self.documents[index], list[Instance]()
        at = 0
        while at < len(document):
            room = self._room(draw)
            end, size = at, 0
            while end < len(document) and (size == 0 or size + len(document[end]) <= room):
                size += len(document[end])
                end += 1
            chunk = document[at:end]
            instance, used = self._instance(index, chunk, room, draw)
            out.append(instance)
            at += used
        return out

    def _room(self, draw: np.random.Generator) -> int:
        whole = self.length - (2 if self.pair == "none" else 3)
        return int(draw.integers(2, whole + 1)) if draw.random() < SHORT else whole

    def _instance(
        self, index: int, chunk: list[list[int]], room: int, draw: np.random.Generator
    ) -> tuple[Instance, int]:
        """An instance from a run of sentences, and how many of them it has used up."""
        if self.pair == "none":
            marked = self.subwords.single(_joined(chunk), room + 2)
            return Instance(marked.ids, marked.segments, 0), len(chunk)
        cut = int(draw.integers(1, len(chunk))) if len(chunk) > 1 else 1
        first, second, used, other = _joined(chunk[:cut]), _joined(chunk[cut:]), len(chunk), 0
        if self.pair == "sentence-order":
            if not second:  # one long sentence: its halves
                first, second = first[: len(first) // 2], first[len(first) // 2 :]
            if draw.random() < 0.5:
                first, second, other = second, first, 1
        elif not second or draw.random() < 0.5:
            second, other, used = self._random(index, room - len(first), draw), 1, cut
        marked = self.subwords.pair(first, second, room + 3)
        return Instance(marked.ids, marked.segments, other), used

    def _random(self, index: int, room: int, draw: np.random.Generator) -> list[int]:
        """A run of sentences from another document."""
        other = int(draw.integers(len(self.documents)))
        if other == index and len(self.documents) > 1:
            other = (other + 1) % len(self.documents)
        document = self.documents[other]
        begin, out = int(draw.integers(len(document))), list[int]()
        while begin < len(document) and (not out or len(out) + len(document[begin]) <= room):
            out += document[begin]
            begin += 1
        return out


def _joined(sentences: Sequence[Sequence[int]]) -> list[int]:
    return [index for sentence in sentences for index in sentence]

"""Which pieces are hidden from a model that is to guess them (BERT, section 3.1; n-grams: ALBERT, section 4.1)."""

from typing import NamedTuple

import numpy as np

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.sentence_pairs import Instance


class Masking(NamedTuple):
    """Numbers of masking. Of the hidden pieces 80 % become [MASK], 10 % stay, 10 % become a random piece."""

    share: float = 0.15
    masked: float = 0.8
    kept: float = 0.1
    whole_words: bool = False
    ngram: int = 1  # up to so many words in a row are hidden together, n with a probability of 1/n (ALBERT: 3)


class Hiding:
    """Chooses places and what stands there instead."""

    def __init__(self, subwords: EncoderSubwords, masking: Masking):
        self.masking, self.marks, self.size = masking, subwords.marks, len(subwords)
        self.begins = subwords.begins
        self.never = np.isin(np.arange(self.size), subwords.marks)
        self.words = np.nonzero(~self.never)[0]  # what a random piece is drawn from

    def count(self, row: Instance) -> int:
        """How many pieces of an instance are hidden: the share of those that are no marks, and at least one."""
        real = int((~self.never[np.asarray(row.ids)]).sum())
        return min(real, max(1, round(self.masking.share * real))) if real else 0

    def hide(self, row: Instance, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Places (sorted) and the ids that stand there instead."""
        ids = np.asarray(row.ids)
        places = self._places(ids, self.count(row), draw)
        chance = draw.random(len(places))
        shown = np.where(chance < self.masking.masked, self.marks.mask, ids[places])
        strange = chance >= self.masking.masked + self.masking.kept
        shown[strange] = draw.choice(self.words, int(strange.sum()))
        return places, shown

    def _places(self, ids: np.ndarray, count: int, draw: np.random.Generator) -> np.ndarray:
        real = np.nonzero(~self.never[ids])[0]
        if not self.masking.whole_words and self.masking.ngram == 1:
            return np.sort(draw.permutation(real)[:count])
        groups = self._words(ids, real)
        chosen: list[int] = []
        for first in draw.permutation(len(groups)):
            run = [place for group in groups[first : first + self._run(draw)] for place in group]
            run = [place for place in run if place not in chosen]
            if run and len(chosen) + len(run) <= count:
                chosen += run
            elif run and not chosen:
                chosen += run[:count]  # a single word longer than the share
            if len(chosen) >= count:
                break
        spare = [place for place in draw.permutation(real) if place not in chosen]
        return np.sort(np.array([*chosen, *spare[: count - len(chosen)]], dtype=np.int64))

    def _words(self, ids: np.ndarray, real: np.ndarray) -> list[list[int]]:
        """Places by word, or each alone where words are not kept whole."""
        groups: list[list[int]] = []
        for place in real.tolist():
            joined = self.masking.whole_words and groups and not self.begins[ids[place]] and groups[-1][-1] == place - 1
            if joined:
                groups[-1].append(place)
            else:
                groups.append([place])
        return groups

    def _run(self, draw: np.random.Generator) -> int:
        """1 to `ngram`, n with probability proportional to 1/n."""
        weights = 1 / np.arange(1, self.masking.ngram + 1)
        return int(draw.choice(self.masking.ngram, p=weights / weights.sum())) + 1

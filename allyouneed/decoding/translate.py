"""Raw text in, translated raw text out: subwords, batches sorted by length, a search, and the order restored."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from allyouneed.data.batches import TokenStore
from allyouneed.data.subwords import EOS, Subwords
from allyouneed.decoding.beam import Watch, beam
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.hypotheses import Hypothesis
from allyouneed.decoding.penalties import length_penalty
from allyouneed.decoding.precision import prepared
from allyouneed.decoding.scoring import score
from allyouneed.decoding.settings import DecodingSettings

Progress = Callable[[int], None]  # told the number of sentences finished


class Translation(NamedTuple):
    """One of a sentence's translations."""

    text: str
    score: float  # log-probability divided by the length penalty
    log_prob: float  # natural logarithm of the probability of all pieces and the end
    ids: list[int]


class Translator:
    """A model with `init_cache` and `step` (see `Stepping`), between two tokenizers."""

    def __init__(self, model: Any, source: Subwords, target: Subwords):
        self.model, self.source, self.target = model, source, target
        self.twins: dict[str, Any] = {}  # by precision: the model prepared for decoding, made when first asked for
        self.cut: list[int] = []  # numbers, from 1, of the lines that were longer than `max_source`

    def translate(
        self, lines: Sequence[str], settings: DecodingSettings | None = None, progress: Progress | None = None
    ) -> list[str]:
        """The best translation of each line; empty lines stay empty."""
        found = self._found(lines, settings or DecodingSettings(), 1, progress, None, scored=False)
        return [translations[0].text if translations else "" for translations in found]

    def n_best(
        self,
        lines: Sequence[str],
        settings: DecodingSettings,
        n: int = 1,
        progress: Progress | None = None,
        prefixes: Sequence[str] | None = None,
    ) -> list[list[Translation]]:
        """The `n` best translations of each line, best first; of an empty line none. `prefixes` begin the outputs."""
        return self._found(lines, settings, n, progress, prefixes, scored=True)

    def watched(self, line: str, settings: DecodingSettings, watch: Watch) -> Translation | None:
        """The best translation of a line, none of an empty one; `watch` is told each step of the search."""
        found = self._found([line], settings, 1, None, None, scored=True, watch=watch)[0]
        return found[0] if found else None

    def _found(
        self, lines: Sequence[str], settings: DecodingSettings, n: int, progress: Progress | None,
        prefixes: Sequence[str] | None, scored: bool, watch: Watch | None = None,
    ) -> list[list[Translation]]:  # fmt: skip
        store = self._encode(lines, settings.max_source)
        forced = self.target.encode(list(prefixes)) if prefixes else None
        out: list[list[Translation]] = [[] for _ in lines]
        self.model.eval()
        done = len(lines) - int((store.lengths > 0).sum())
        for rows in _batches(store.lengths, settings.batch_tokens):
            source = torch.from_numpy(store.padded(rows, after=[EOS])).to(_device(self.model))
            given = [forced[row] for row in rows] if forced else None
            found = self._search(source, settings, n, given, scored, watch)
            for row, hypotheses in zip(rows, found, strict=True):
                texts = self.target.decode([hypothesis.ids for hypothesis in hypotheses])
                out[row] = [
                    Translation(text, h.score, h.log_prob, h.ids) for text, h in zip(texts, hypotheses, strict=True)
                ]
            done += len(rows)
            if progress:
                progress(done)
        return out

    def _search(
        self, source: torch.Tensor, settings: DecodingSettings, n: int, prefix: list[list[int]] | None, scored: bool,
        watch: Watch | None,
    ) -> list[list[Hypothesis]]:  # fmt: skip
        model = self.ready(settings.precision)
        longest = (source != 0).sum(1) - 1 + settings.max_extra
        penalty = length_penalty(settings.penalty, settings.length_penalty)
        size = max(settings.beam, n)
        if size == 1 and watch is None:  # a beam of one is greedy search, but slower
            found = greedy(model, source, penalty, longest, prefix=prefix, scored=scored)
            return [[hypothesis] for hypothesis in found]
        return beam(model, source, size, penalty, n, longest, prefix=prefix, watch=watch)

    def ready(self, precision: str) -> Any:
        """The model prepared for decoding; its weights are those of the first call."""
        if precision not in self.twins:
            self.twins[precision] = prepared(self.model, precision)
        return self.twins[precision]

    def score(self, sources: Sequence[str], references: Sequence[str], batch_tokens: int = 4096) -> list[float]:
        """The log-probability (natural, of all pieces and the end) of each given reference."""
        store, target = self._encode(sources, 10**9), TokenStore.of(self.target.encode(list(references)))
        out = np.zeros(len(sources))
        self.model.eval()
        for rows in _batches(store.lengths + target.lengths + 1, batch_tokens):
            device = _device(self.model)
            source = torch.from_numpy(store.padded(rows, after=[EOS])).to(device)
            total, _ = score(self.model, source, torch.from_numpy(target.padded(rows)).to(device))
            out[rows] = total.cpu().numpy()
        return out.tolist()

    def _encode(self, lines: Sequence[str], longest: int) -> TokenStore:
        ids = self.source.encode(list(lines))
        self.cut = [i for i, row in enumerate(ids, 1) if len(row) > longest]
        return TokenStore.of([row[:longest] for row in ids])


def _batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Rows of similar length, longest first, so that a progress bar errs on the safe side; empty rows are left out."""
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        size = max(1, budget // int(lengths[order[start]] + 1))
        yield order[start : start + size]
        start += size


def _device(model: Any) -> Any:
    return next(model.parameters()).device

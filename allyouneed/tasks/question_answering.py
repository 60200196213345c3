"""The answer to a question as a piece of a passage: where it begins and where it ends.

A long passage is read in windows that overlap, `[CLS] question [SEP] part of the passage [SEP]`; where a window does not
hold the answer, [CLS] stands for none (BERT, section 4.3).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.batches import TokenStore, plan
from allyouneed.data.encoder_subwords import EncoderSubwords, Places
from allyouneed.data.questions import Question
from allyouneed.tasks.answer_scores import answer_scores
from allyouneed.tasks.task import Group, by_rate
from allyouneed.tasks.tuning import TuningSettings, rates

CANDIDATES = 20  # spans that are weighed against each other, BERT's n-best


class SpanBatch(NamedTuple):
    """Windows, with the places where their answers begin and end."""

    ids: Tensor  # b n
    segments: Tensor  # b n
    spans: Tensor  # b 2, the end inclusive; 0 0 where there is none


class Reading(NamedTuple):
    """How passages are cut, in pieces, and answers chosen."""

    length: int = 384
    stride: int = 128
    question: int = 64
    answer: int = 30
    answerless: bool = False


class Window(NamedTuple):
    """Where a window comes from."""

    question: int  # its number
    offset: int  # the place of the passage in it
    first: int  # the passage's piece there
    size: int  # how many pieces of the passage it holds


class Windows(NamedTuple):
    """Many questions, each as one window or more, in their order."""

    ids: TokenStore
    segments: TokenStore
    spans: np.ndarray  # w 2
    windows: list[Window]
    places: list[Places]  # of each question's passage

    @classmethod
    def of(cls, questions: Sequence[Question], subwords: EncoderSubwords, reading: Reading) -> "Windows":
        read = {context: subwords.places(context) for context in {q.context for q in questions}}
        asked = subwords.encode([question.question for question in questions])
        ids, segments, spans, windows = [], [], [], []
        for row, question in enumerate(questions):
            own = asked[row][: min(reading.question, (reading.length - 3) // 2)]
            pieces = read[question.context].ids
            answer = answer_pieces(question, read[question.context])
            for first, size in cuts(len(pieces), reading.length - 3 - len(own), reading.stride):
                marked = subwords.pair(own, pieces[first : first + size])
                window = Window(row, len(own) + 2, first, size)
                ids.append(marked.ids)
                segments.append(marked.segments)
                spans.append(_span(answer, window))
                windows.append(window)
        stores = TokenStore.of(ids), TokenStore.of(segments)
        return cls(
            *stores, np.array(spans, dtype=np.int64).reshape(-1, 2), windows, [read[q.context] for q in questions]
        )

    def batch(self, rows: np.ndarray, pad: int) -> SpanBatch:
        ids = torch.from_numpy(self.ids.padded(rows, pad=pad))
        return SpanBatch(ids, torch.from_numpy(self.segments.padded(rows)), torch.from_numpy(self.spans[rows]))


def cuts(pieces: int, room: int, stride: int) -> list[tuple[int, int]]:
    """(first piece, how many) of the windows of a passage, the last one up to its end."""
    found, first = [(0, min(pieces, room))], 0
    while first + room < pieces:
        first += min(stride, room)
        found.append((first, min(pieces - first, room)))
    return found


def answer_pieces(question: Question, places: Places) -> tuple[int, int] | None:
    """The first and the last piece of the first answer; a piece that the answer shares a character with is in it."""
    if not question.answers:
        return None
    begin, end = question.starts[0], question.starts[0] + len(question.answers[0])
    inside = [i for i, (a, b) in enumerate(places.spans) if a < end and b > begin]
    return (inside[0], inside[-1]) if inside else None


def _span(answer: tuple[int, int] | None, window: Window) -> tuple[int, int]:
    """The answer's places in a window that holds all of it, else [CLS]."""
    if answer is None or answer[0] < window.first or answer[1] >= window.first + window.size:
        return 0, 0
    return answer[0] - window.first + window.offset, answer[1] - window.first + window.offset


class Found(NamedTuple):
    """An answer: its text, where it begins in the passage, and how probable it is among the candidates."""

    text: str  # empty: the passage holds none
    start: int
    probability: float


@torch.no_grad()
def read(
    model: nn.Module, questions: Sequence[Question], windows: Windows, reading: Reading, pad: int, batch_tokens: int = 8192
) -> list[list[Found]]:  # fmt: skip
    """For each question its candidates, the best first."""
    model.eval()
    device = next(model.parameters()).device
    spans: list[dict[tuple[int, int], float]] = [{} for _ in questions]
    none = [float("inf")] * len(questions)
    for rows in plan(windows.ids.lengths[None], batch_tokens, 0, 0):
        batch = windows.batch(rows, pad)
        logits = model(batch.ids.to(device), batch.segments.to(device)).float().cpu()
        for row, answer in zip(rows.tolist(), logits, strict=True):
            window = windows.windows[row]
            own = spans[window.question]
            none[window.question] = min(none[window.question], float(answer[0].sum()))
            for span, score in best_spans(answer, window, reading.answer):
                own[span] = max(score, own.get(span, score))
    found = zip(questions, windows.places, spans, none, strict=True)
    return [_weighed(q.context, places, own, nil if reading.answerless else None) for q, places, own, nil in found]


def best_spans(logits: Tensor, window: Window, longest: int) -> list[tuple[tuple[int, int], float]]:
    """The best spans of a window by the sum of their two logits, as pieces of the passage."""
    if window.size == 0:
        return []
    begins, ends = logits[window.offset : window.offset + window.size].T
    allowed = torch.ones(window.size, window.size).triu().tril(longest - 1).bool()
    scores = (begins[:, None] + ends[None]).masked_fill(~allowed, float("-inf")).flatten()
    best = scores.topk(min(CANDIDATES, int(allowed.sum())))
    return [
        ((index // window.size + window.first, index % window.size + window.first), score)
        for index, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _weighed(context: str, places: Places, spans: dict[tuple[int, int], float], none: float | None) -> list[Found]:
    """The candidates as text, with probabilities among themselves."""
    best = sorted(spans.items(), key=lambda item: (-item[1], item[0]))[:CANDIDATES]
    if none is not None or not best:
        best = sorted([*best, ((-1, -1), none or 0.0)], key=lambda item: -item[1])
    shares = torch.tensor([score for _, score in best]).softmax(-1).tolist()
    found: dict[tuple[str, int], float] = {}  # two spans of pieces may be one text: pieces of white space
    for (span, _), share in zip(best, shares, strict=True):
        key = _text(context, places, span)
        found[key] = found.get(key, 0.0) + share
    return [Found(text, start, share) for (text, start), share in found.items()]


def _text(context: str, places: Places, span: tuple[int, int]) -> tuple[str, int]:
    if span[0] < 0:
        return "", 0
    begin, end = places.spans[span[0]][0], places.spans[span[1]][1]
    text = context[begin:end]
    return text.strip(), begin + len(text) - len(text.lstrip())


class QuestionTask:
    """See `Task`."""

    metric = "f1"
    players: Sequence[str] = ("model",)

    def __init__(
        self, train: Windows, val: Windows, questions: Sequence[Question], reading: Reading, batch_tokens: int, seed: int,
        pad: int, tuning: TuningSettings | None = None,
    ):  # fmt: skip
        self.train, self.val, self.questions, self.reading = train, val, questions, reading
        self.batch_tokens, self.seed, self.pad = batch_tokens, seed, pad
        self.tuning = tuning or TuningSettings()

    def plan(self, epoch: int) -> list[np.ndarray]:
        return list(plan(self.train.ids.lengths[None], self.batch_tokens, self.seed, epoch))

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        return len(batch)

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        return int(self.train.ids.lengths[batch].sum())

    def collate(self, batch: np.ndarray, epoch: int) -> SpanBatch:
        return self.train.batch(batch, self.pad)

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return by_rate(model, rates(model, self.tuning))

    def loss(self, model: nn.Module, batch: SpanBatch, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        hidden = model.encode(batch.ids, batch.segments)  # type: ignore[operator]
        found = model.head.loss(hidden, model.real(batch.ids), batch.spans)  # type: ignore[union-attr, operator]
        return found.loss, {"loss": found.loss.detach(), "nll": found.nll}

    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        found = read(model, self.questions, self.val, self.reading, self.pad, 2 * self.batch_tokens)
        return answer_scores([best[0].text for best in found], [question.answers for question in self.questions])

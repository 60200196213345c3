"""`run.look(input)`: what a model did with one input, as a trace. A function for each kind of run."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allyouneed.data.algorithms import Example
from allyouneed.data.questions import Question
from allyouneed.data.subwords import BOS, EOS
from allyouneed.decoding.beam import beam
from allyouneed.decoding.penalties import NoPenalty
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.tasks.algorithm_forms import Asked
from allyouneed.tasks.question_answering import Found, Windows
from allyouneed.tasks.tagging import parts_of
from allyouneed.tracing.beam_tree import Watching
from allyouneed.tracing.seeing import LONGEST, card_of, classes, guesses, see, sequence
from allyouneed.tracing.sentence import look_inside, reading, with_beam
from allyouneed.tracing.trace import Trace


def not_empty(text: str, what: str) -> str:
    if not text.strip():
        raise UserError(f"the input is empty; give {what}")
    return text


def refuse_long(pieces: int, limit: int, why: str = "") -> None:
    """UserError for more pieces than the model reads, or than a page can show."""
    if pieces > limit:
        raise UserError(f"the input has {pieces:,} pieces, and the limit is {limit:,}{why}; give a shorter one")


def positions_limit(run: Any) -> int:
    """How many places the model has, where they are learned; else what a page can show."""
    numbers = run.settings.model.model_dump()
    if numbers.get("positions", "learned") != "learned":
        return LONGEST
    return min(LONGEST, numbers.get("positions_length", LONGEST), math.prod(numbers.get("positions_shape", (LONGEST,))))


# ---- translators


def look_at_translation(run: Any, text: str, **decoding: Any) -> Trace:
    """Encoder, decoder, cross-attention, and the search; settings of decoding are named (`beam=8`)."""
    not_empty(text, "a sentence to translate")
    settings = run.decoding(**decoding)
    refuse_long(len(run.vocabulary.source.encode([text])[0]), settings.max_source)
    return look_inside(run.translator, text, settings, card_of(run), run_folder.languages(run.folder))


# ---- language models


def look_at_language_model(run: Any, text: str) -> Trace:
    """What the model saw while it read the text, and what it would write after each piece."""
    ids = [BOS, *run.pieces.encode_text(not_empty(text, "a text to read")).tolist()]
    refuse_long(len(ids), positions_limit(run))
    spaces = {"tokens": sequence("text", _running(run.pieces, ids), [0])}
    seen = see(run.model, [torch.tensor([ids])], spaces, card_of(run), input=text)
    names = lambda best: _running(run.pieces, best)  # noqa: E731
    seen.manifest.guesses = [guesses("the next piece", "tokens", seen.output[0], range(len(ids)), names)]
    return seen.trace()


def _running(pieces: Any, ids: Sequence[int]) -> list[str]:
    """Spaces and line ends as they are; half a letter as its bytes are spelled."""
    whole = [pieces.decode_text([index]) for index in ids]
    spelled = zip(whole, pieces.pieces(ids), strict=True)
    return [text if text and "\ufffd" not in text else piece for text, piece in spelled]


# ---- algorithms


def look_at_algorithm(run: Any, question: str) -> Trace:
    """A question such as `3 1 2`, in whichever of the three ways the model is asked."""
    problem = run.task.problem
    ids = run.ids(not_empty(question, f"a question written in {' '.join(problem.symbols)}"))
    refuse_long(len(ids), positions_limit(run) // 2)
    asked = Asked(problem, [Example(ids, np.zeros(0, dtype=np.int64))], [problem.room(len(ids))])
    return ASKING[run.form](run, asked, question)


def _in_place(run: Any, asked: Asked, question: str) -> Trace:
    ids = run.task.form.batch(asked).ids
    seen = see(run.model, [ids], {"tokens": sequence("places", _symbols(run, ids[0]))}, card_of(run), input=question)
    answer = asked.problem.read(run.task.form.answers(run.model, asked, run.device)[0])
    places = range(ids.shape[1])
    found = guesses("the answer at each place", "tokens", seen.output[0], places, lambda best: _symbols(run, best))
    seen.manifest.guesses, seen.manifest.output = [found], answer
    return seen.trace()


def _aside(run: Any, asked: Asked, question: str) -> Trace:
    ids, watching = [*asked.examples[0].question.tolist(), EOS], Watching()
    longest = asked.problem.answered(asked.lengths[0]) + 1
    source, penalty = torch.tensor([ids], device=run.device), NoPenalty()
    with watching.over(run.model.eval()):
        found = beam(run.model, source, 1, penalty, max_lengths=longest, watch=watching)[0][0].ids
    spell = lambda best: _symbols(run, best)  # noqa: E731
    said = {"input": question, "output": asked.problem.read(found)}
    seen = reading(run.model, ids, [*found, EOS], card_of(run), (spell, spell), **said)
    return with_beam(seen, watching, found, penalty, DecodingSettings(beam=1, penalty="none"), spell)


def _onwards(run: Any, asked: Asked, question: str) -> Trace:
    answer = run.task.form.answers(run.model, asked, run.device)[0]
    ids = torch.cat([run.task.form.batch(asked).ids[0], torch.from_numpy(answer)])
    spaces = {"tokens": sequence("question and answer", _symbols(run, ids), [0])}
    seen = see(run.model, [ids[None]], spaces, card_of(run), input=question, output=asked.problem.read(answer))
    places, names = range(len(ids)), lambda best: _symbols(run, best)
    seen.manifest.guesses = [guesses("the next symbol", "tokens", seen.output[0], places, names)]
    return seen.trace()


ASKING = {"algorithm": _in_place, "translation": _aside, "language-model": _onwards}
"""By the builder that makes the model, as `tasks.algorithm_forms.FORMS`."""


def _symbols(run: Any, ids: Sequence[int] | Tensor) -> list[str]:
    return [run.task.problem.read([index]) for index in ids]


# ---- encoders


def look_at_masks(run: Any, text: str) -> Trace:
    """A text with [MASK]s, and what the model would put there."""
    ids = _single(run, run.subwords.encode_marked(not_empty(text, "a text with [MASK] where a word is to be guessed")))
    seen = see(run.model, [torch.tensor([ids])], _tokens(run, ids), card_of(run), input=text)
    hidden = [place for place, index in enumerate(ids) if index == run.subwords.marks.mask]
    if hidden:
        found = guesses("the hidden word", "tokens", seen.output.words[0], hidden, run.subwords.pieces)
        seen.manifest.guesses = [found]
    else:
        seen.manifest.notes.append("The text holds no [MASK], so there was no word to guess.")
    return seen.trace()


def look_at_class(run: Any, text: str) -> Trace:
    """A text, or two with a tab between them, and the labels that it may have.

    Of a run that was trained on pairs the second may stand on the next line: no tab can be typed on a page.
    """
    not_empty(text, "a text to classify")
    first, *second = _two(text) if run.settings.data.pair else text.split("\t", 1)
    limit, subwords = run.settings.model.positions_length, run.subwords
    pieces = subwords.encode([first, *second])
    refuse_long(sum(map(len, pieces)) + len(pieces) + 1, limit)
    marked = subwords.pair(*pieces) if second else subwords.single(pieces[0])
    inputs = [torch.tensor([marked.ids]), torch.tensor([marked.segments])]
    seen = see(run.model, inputs, _tokens(run, marked.ids), card_of(run), input=text)
    seen.manifest.classes = classes("the label", run.labels, seen.output[0].softmax(-1))
    seen.manifest.output = seen.manifest.classes.names[0]
    return seen.trace()


def look_at_tags(run: Any, text: str) -> Trace:
    """A line of words, and the tags that each may have; its first piece answers for a word."""
    words, limit = not_empty(text, "a line of words to tag").split(), run.settings.model.positions_length
    parts = parts_of(words, run.subwords, limit)
    refuse_long(sum(len(part.ids) for part in parts), limit)
    ids, places = parts[0]
    seen = see(run.model, [torch.tensor([ids])], _tokens(run, ids), card_of(run), input=text)
    names = lambda best: [run.labels[i] for i in best]  # noqa: E731
    found = guesses("the tag of the word that begins here", "tokens", seen.output[0], places, names)
    seen.manifest.guesses = [found]
    tagged = zip(words, found.at, strict=True)
    seen.manifest.output = " ".join(f"{word}/{guess.tokens[0]}" for word, guess in tagged)
    return seen.trace()


def look_at_question(run: Any, text: str) -> Trace:
    """A question and, after a tab or on the next line, a passage: the window where the best answer lies, and the answers."""
    question, *passage = _two(not_empty(text, "a question, a tab, and a passage"))
    if not passage or not passage[0].strip() or not question.strip():
        raise UserError("the input holds no passage; write a question, a tab, and the passage that may answer it")
    asked = Question(question, passage[0], (), ())
    found = run.answers([asked])[0]
    windows = Windows.of([asked], run.subwords, run.reading)
    best = _window(windows, found[0])
    read = windows.batch(np.array([best]), run.subwords.marks.pad)
    seen = see(run.model, [read.ids, read.segments], _tokens(run, read.ids[0].tolist()), card_of(run), input=text)
    shares = torch.tensor([answer.probability for answer in found])
    seen.manifest.classes = classes("the answer", [answer.text or "(none)" for answer in found], shares)
    seen.manifest.output = found[0].text
    if len(windows.windows) > 1:
        said = (
            f"The passage is read in {len(windows.windows)} windows; this is number {best + 1}, which holds the answer."
        )
        seen.manifest.notes.append(said)
    return seen.trace()


def _two(text: str) -> list[str]:
    return re.split(r"[\t\n]", text.strip(), maxsplit=1)


def _window(windows: Windows, answer: Found) -> int:
    """The window in which the answer stands farthest from an edge; of a passage without an answer the first."""
    spans = windows.places[0].spans
    begin = next((i for i, (_, end) in enumerate(spans) if end > answer.start), 0)

    def room(number: int) -> int:
        window = windows.windows[number]
        return min(begin - window.first, window.first + window.size - 1 - begin)

    return max(range(len(windows.windows)), key=lambda i: (room(i), -i)) if answer.text else 0


def _single(run: Any, ids: list[int]) -> list[int]:
    refuse_long(len(ids) + 2, run.settings.model.positions_length)
    marked: list[int] = run.subwords.single(ids).ids
    return marked


def _tokens(run: Any, ids: Sequence[int]) -> Mapping[str, Any]:
    marks = run.subwords.marks
    special = [place for place, index in enumerate(ids) if index in (marks.cls, marks.sep)]
    return {"tokens": sequence("text", run.subwords.pieces(ids), special)}

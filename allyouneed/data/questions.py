"""Questions about passages, with the answer as a piece of the passage: SQuAD's JSON, or JSONL with a question a line.

A line of JSONL has `question`, `context`, and the answer: `answer` with `start`, its first character; without `start`
it is looked up in the context. `answers` as Hugging Face writes them, `{"text": [...], "answer_start": [...]}`, is read
too. A question without an answer (SQuAD 2) has none there, or an empty one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from allyouneed.data.files import plain_name, read_text, split_lines
from allyouneed.data.split_files import split_files
from allyouneed.data.splits import assign_splits
from allyouneed.data.tables import json_record
from allyouneed.errors import UserError

ENDINGS = {".json", ".jsonl", ".ndjson"}


class Question(NamedTuple):
    """A question with the answers that people gave; none where the passage does not hold one."""

    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]  # the first character of each in the context


class QuestionCorpus(NamedTuple):
    train: list[Question]
    val: list[Question]
    tests: dict[str, list[Question]]


def read_questions(path: str | Path, seed: int = 1) -> QuestionCorpus:
    """Reads a file, split by the seed so that no passage is in two splits, or a folder of splits. UserError says where."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"there is no file or folder {path}; give SQuAD's JSON, a JSONL file, or a folder of them")
    if not path.is_dir():
        train, val, test = _split(path, read_file(path), 3, seed)
        return QuestionCorpus(train, val, {"test": test})
    files = split_files(path, ENDINGS, "file")
    train = [question for file in files.train for question in read_file(file)]
    tests = {name: read_file(file) for name, file in files.tests.items()}
    if files.val:
        return QuestionCorpus(train, read_file(files.val), tests)
    train, val = _split(path, train, 2, seed)
    return QuestionCorpus(train, val, tests)


def read_file(path: Path) -> list[Question]:
    """All questions of a file; UserError for an answer that does not stand where it is said to."""
    if Path(plain_name(path)).suffix.lower() not in ENDINGS:
        raise UserError(f"{path} is no file of questions by its name: use .json or .jsonl (or .gz)")
    text = read_text(path)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("data"), list):
        found = [_checked(where, record) for where, record in _squad(path, whole["data"])]
    else:
        lines = [(i, line) for i, line in enumerate(split_lines(text), 1) if line.strip()]
        found = [_checked(f"{path}, line {i}", json_record(path, i, line)) for i, line in lines]
    if not found:
        raise UserError(f"{path} has no questions; each has a question, a context and an answer")
    return found


def _squad(path: Path, articles: Sequence[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for number, article in enumerate(articles, 1):
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    where = f"{path}, article {number}, question {str(asked.get('id', asked['question']))[:40]!r}"
                    yield where, {**asked, "context": paragraph["context"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}, article {number}: this is not SQuAD's form ({type(error).__name__}: {error})"
        ) from None


def _checked(where: str, record: Mapping[str, Any]) -> Question:
    for key in ("question", "context"):
        if not isinstance(record.get(key), str) or not record[key].strip():
            held = ", ".join(map(repr, record)) or "nothing"
            raise UserError(f"{where}: there is no text {key!r}; it has {held}")
    context = record["context"]
    answers = [(text, start) for text, start in _answers(where, record) if text]
    starts = [_start(where, context, text, start) for text, start in answers]
    return Question(record["question"], context, tuple(text for text, _ in answers), tuple(starts))


def _answers(where: str, record: Mapping[str, Any]) -> list[tuple[str, int | None]]:
    """Texts with their starts, in whichever way they are written."""
    if record.get("is_impossible"):
        return []
    given = record.get("answers", record.get("answer"))
    if isinstance(given, str):
        return [(given, record.get("start", record.get("answer_start")))]
    if isinstance(given, dict) and isinstance(given.get("text"), list):
        starts = given.get("answer_start") or [None] * len(given["text"])
        if len(starts) == len(given["text"]):
            return list(zip(map(str, given["text"]), starts, strict=True))
    if isinstance(given, list) and all(isinstance(answer, dict) and "text" in answer for answer in given):
        return [(str(answer["text"]), answer.get("answer_start")) for answer in given]
    if given is None and ("answer" in record or "answers" in record):
        return []
    raise UserError(f"{where}: there is no answer; write 'answer' and 'start', or an empty answer if there is none")


def _start(where: str, context: str, text: str, start: Any) -> int:
    if start is None:
        start = context.find(text)
        if start < 0:
            raise UserError(f"{where}: the answer {text[:40]!r} does not stand in the context")
    if isinstance(start, bool) or not isinstance(start, int) or context[start : start + len(text)] != text or start < 0:
        stands = context[start : start + len(text)][:40] if isinstance(start, int) else start
        raise UserError(f"{where}: the answer {text[:40]!r} does not stand at {start} of the context, but {stands!r}")
    return start


def _split(path: Path, read: Sequence[Question], parts: int, seed: int) -> list[list[Question]]:
    """By distinct passage, seeded."""
    try:
        split = assign_splits([q.context for q in read], [f"{i}" for i in range(len(read))], parts, seed)
    except ValueError as fault:
        raise UserError(
            f"{path} cannot be split by passage: {fault}; give more, or files named train and val"
        ) from None
    return [[question for question, part in zip(read, split, strict=True) if part == wanted] for wanted in range(parts)]

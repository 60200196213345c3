"""Labelled text: tables with a text (or two) and a label a row, in one file or in a folder of splits.

A folder holds files whose names say their split (`train.tsv`, `dev.csv`, `test_2.jsonl`, `.gz` too); a single file is
split by a seed so that no text stands in two splits.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from allyouneed.data.records import Records, read_records
from allyouneed.data.split_files import split_files
from allyouneed.data.splits import assign_splits
from allyouneed.data.tables import FORMATS
from allyouneed.errors import UserError

TEXTS = ("text", "sentence", "review", "sentence1", "x", "premise", "question1", "content")
PAIRS = ("text2", "sentence2", "hypothesis", "question2")
LABELS = ("label", "labels", "class", "category", "sentiment", "target", "y")


class Columns(NamedTuple):
    """Names of columns, or numbers from 1 where the tables have no header; None is guessed from usual names."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


class Labelled(NamedTuple):
    """Texts of one split with their labels; `second` is empty where there are no pairs."""

    first: list[str]
    second: list[str]
    labels: list[str]

    def rows(self, keep: Sequence[int]) -> "Labelled":
        return Labelled(*([side[i] for i in keep] if side else [] for side in self))


class LabelledCorpus(NamedTuple):
    train: Labelled
    val: Labelled
    tests: dict[str, Labelled]


def read_labelled(path: str | Path, columns: Columns, seed: int = 1) -> LabelledCorpus:
    """Reads a table or a folder of tables. Raises UserError naming file, line or column."""
    path = Path(path)
    if path.is_dir():
        return _folder(path, columns, seed)
    if not path.exists():
        raise UserError(f"there is no file or folder {path}; give a TSV, CSV or JSONL table, or a folder of them")
    train, val, test = _split(path, read_table(path, columns), 3, seed)
    return LabelledCorpus(train, val, {"test": test})


def read_table(path: Path, columns: Columns) -> Labelled:
    """One table."""
    records = read_records(path, [name for name in columns if name])
    text = _column(path, records, columns.text, TEXTS, "data.text", "the text")
    label = _column(path, records, columns.label, LABELS, "data.label", "the label")
    pair = columns.pair or next((name for name in PAIRS if name in records.names and text != name), None)
    read = Labelled(records.column(path, text), records.column(path, pair) if pair else [], records.column(path, label))
    _check(path, records, read, label)
    return read


def _column(path: Path, records: Records, given: str | None, usual: Sequence[str], key: str, what: str) -> str:
    found = given or next((name for name in usual if name in records.names), None)
    if found is None or found not in records.names:
        asked = f"has no column {given!r}" if given else f"has no column that is surely {what}"
        raise UserError(f"{path} {asked}; its columns: {records.shown()}; name one with --set {key}=...")
    return found


def _check(path: Path, records: Records, read: Labelled, column: str) -> None:
    if not read.first:
        raise UserError(f"{path} has no rows; each row needs a text and a label")
    for line, label in zip(records.lines, read.labels, strict=True):
        if not label.strip():
            raise UserError(f"{path}, line {line}: the label (column {column!r}) is empty; fill it in or drop the row")


def _folder(path: Path, columns: Columns, seed: int) -> LabelledCorpus:
    files = split_files(path, FORMATS, "table")
    parts = [read_table(file, columns) for file in files.train]
    train = Labelled(*([item for part in parts for item in part[i]] for i in range(3)))
    tests = {name: read_table(file, columns) for name, file in files.tests.items()}
    if files.val:
        val = read_table(files.val, columns)
    else:
        train, val = _split(path, train, 2, seed)
    return LabelledCorpus(train, val, tests)


def _split(path: Path, read: Labelled, parts: int, seed: int) -> list[Labelled]:
    """By distinct text, seeded."""
    try:
        split = assign_splits(read.first, [f"{i}" for i in range(len(read.first))], parts, seed)
    except ValueError as fault:
        raise UserError(f"{path} cannot be split: {fault}; give more rows, or files named train and val") from None
    return [read.rows([i for i, part in enumerate(split) if part == wanted]) for wanted in range(parts)]


def label_set(train: Labelled) -> list[str]:
    """The labels of the training texts in order: numbers by value, words by the alphabet."""
    found = sorted(set(train.labels), key=lambda label: (not _is_number(label), _value(label), label))
    if len(found) < 2:
        raise UserError(f"all training texts have the label {found[0]!r}; classification needs two labels or more")
    return found


def _is_number(label: str) -> bool:
    return label.lstrip("-").isdigit()


def _value(label: str) -> int:
    return int(label) if _is_number(label) else 0


def label_ids(labels: Sequence[str], known: Sequence[str], where: str) -> list[int]:
    """Places of labels in the list of known ones; UserError for one that training never saw."""
    index = {label: i for i, label in enumerate(known)}
    for row, label in enumerate(labels, 1):
        if label not in index:
            shown = ", ".join(map(repr, known[:10]))
            raise UserError(f"{where}, row {row}: the label {label!r} does not occur in training, which has {shown}")
    return [index[label] for label in labels]

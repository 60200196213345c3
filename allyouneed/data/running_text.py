"""Running text for language models: a file or a folder becomes train, validation and test, to the letter.

A single file is cut by position, as the field does with tiny Shakespeare and enwik8: the first part trains, what
follows is held out. In a folder, files named `train`, `val` (or `valid`, `dev`) and `test` are the splits; otherwise
every text file is a document, and documents are cut by position too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from allyouneed.data.files import plain_name, read_text
from allyouneed.data.splits import split_named
from allyouneed.errors import UserError

SUFFIXES = (".txt", ".md", ".text", ".tokens", ".raw", ".xml", ".py")


class RunningText(NamedTuple):
    """Documents of each split; a document is a string with its line ends."""

    train: list[str]
    val: list[str]
    test: list[str]


def read_running_text(path: str | Path, held_out: float = 0.05) -> RunningText:
    """Reads a text file or a folder of them (plain or `.gz`); `held_out` is the share of validation and of test each."""
    path = Path(path)
    if path.is_dir():
        return _folder(path, held_out)
    if not path.exists():
        raise UserError(f"there is no file or folder {path}; give a text file, or a folder of them")
    return cut([_whole(path)], held_out, str(path))


def _folder(path: Path, held_out: float) -> RunningText:
    files = sorted(file for file in path.rglob("*") if file.is_file() and _is_text(file))
    if not files:
        raise UserError(f"{path} holds no text file ({', '.join(SUFFIXES)}, plain or .gz)")
    named: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for file in files:
        split = split_named(plain_name(file))
        if split:
            named[split].append(_whole(file))
    if not named["train"]:
        return cut([_whole(file) for file in files], held_out, str(path))
    if not named["val"]:
        parts = cut(named["train"], held_out, str(path))
        return parts._replace(test=named["test"] or parts.test)
    return RunningText(**named)


def _is_text(file: Path) -> bool:
    return Path(plain_name(file)).suffix.lower() in SUFFIXES and not file.name.startswith(".")


def _whole(path: Path) -> str:
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty; a language model needs text to read")
    return text


def cut(documents: Sequence[str], held_out: float, name: str) -> RunningText:
    """The documents cut by position: the last share is test, the share before it validation, ends of lines kept."""
    total = sum(map(len, documents))
    borders = [int(total * (1 - 2 * held_out)), int(total * (1 - held_out)), total]
    parts: list[list[str]] = [[], [], []]
    part = at = 0
    for document in documents:
        begin = 0
        while begin < len(document):
            room = max(borders[part] - at, 0) if part < 2 else len(document)
            end = begin + room
            if end < len(document):
                line = document.find("\n", end)  # a split begins on a line of its own where there are lines
                end = line + 1 if 0 <= line - end < 2000 else end
            piece = document[begin:end]
            if piece:
                parts[part].append(piece)
            at, begin = at + len(piece), begin + len(piece)
            if at >= borders[part] and part < 2:
                part += 1
    if not all(parts[:2]):
        raise UserError(f"{name} is too short to hold out {held_out:.0%} for validation; give more text, or a val file")
    return RunningText(*parts)

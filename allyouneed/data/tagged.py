"""Tagged text: sentences of words with a tag each, in columns as CoNLL has them, or in JSONL.

Columns are parted by tabs, or by spaces where a line has no tab; a blank line ends a sentence, and what a line says of a
document (`-DOCSTART-`) is none. In JSONL a line is a sentence with two lists, `tokens` and `tags` or so.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from allyouneed.data.files import plain_name, read_text, split_lines
from allyouneed.data.split_files import split_files
from allyouneed.data.splits import assign_splits
from allyouneed.data.tables import json_record
from allyouneed.errors import UserError

COLUMNS = {".txt", ".tsv", ".tab", ".conll", ".bio", ".iob", ".iob2", ".col"}
LINES = {".jsonl", ".ndjson", ".json"}
WORDS = ("tokens", "words", "text")
TAGS = ("tags", "ner_tags", "pos_tags", "labels")


class Tagged(NamedTuple):
    """Sentences of one split; `tags` has one for each word of `words`."""

    words: list[list[str]]
    tags: list[list[str]]

    def rows(self, keep: Sequence[int]) -> "Tagged":
        return Tagged([self.words[i] for i in keep], [self.tags[i] for i in keep])


class TaggedCorpus(NamedTuple):
    train: Tagged
    val: Tagged
    tests: dict[str, Tagged]


def read_tagged(path: str | Path, word: str | None = None, tag: str | None = None, seed: int = 1) -> TaggedCorpus:
    """Reads a file, split by the seed, or a folder of splits. Raises UserError naming file, line or column."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"there is no file or folder {path}; give a file of words and tags, or a folder of them")
    if not path.is_dir():
        train, val, test = _split(path, read_sentences(path, word, tag), 3, seed)
        return TaggedCorpus(train, val, {"test": test})
    files = split_files(path, COLUMNS | LINES, "file")
    parts = [read_sentences(file, word, tag) for file in files.train]
    train = Tagged(*([row for part in parts for row in part[i]] for i in range(2)))
    tests = {name: read_sentences(file, word, tag) for name, file in files.tests.items()}
    if files.val:
        return TaggedCorpus(train, read_sentences(files.val, word, tag), tests)
    train, val = _split(path, train, 2, seed)
    return TaggedCorpus(train, val, tests)


def read_sentences(path: Path, word: str | None, tag: str | None) -> Tagged:
    """One file."""
    ending = Path(plain_name(path)).suffix.lower()
    if ending not in COLUMNS | LINES:
        raise UserError(f"{path} is no file of tagged text by its name: use .conll, .txt, .tsv or .jsonl (or .gz)")
    reader: Callable[..., Tagged] = _json if ending in LINES else _columns
    found = reader(path, split_lines(read_text(path)), word, tag)
    if not found.words:
        raise UserError(f"{path} has no sentences; a line holds a word and its tag, and a blank line ends a sentence")
    return found


def _columns(path: Path, lines: Sequence[str], word: str | None, tag: str | None) -> Tagged:
    at, end = _number(path, word, 1), _number(path, tag, 0)
    found, words, tags = Tagged([], []), list[str](), list[str]()
    for number, line in enumerate([*lines, ""], 1):
        fields = line.split("\t") if "\t" in line else line.split()
        if line.strip() and not line.startswith("-DOCSTART-"):
            _check(path, number, fields, at, end)
            words.append(fields[at - 1])
            tags.append(fields[end - 1].strip())
        elif words:
            found.words.append(words)
            found.tags.append(tags)
            words, tags = [], []
    return found


def _number(path: Path, given: str | None, default: int) -> int:
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and int(given) > 0):
        raise UserError(
            f"{path} has no names for its columns, so {given!r} is none of them; give a number, from 1, with "
            "--set data.word=... and --set data.tag=..."
        )
    return int(given)


def _check(path: Path, number: int, fields: Sequence[str], at: int, end: int) -> None:
    if max(at, end, 2) > len(fields):
        raise UserError(
            f"{path}, line {number}: {len(fields)} column(s), but column {max(at, end, 2)} is needed; a line holds a "
            "word and its tag, parted by a tab or by spaces"
        )
    if not fields[end - 1].strip():
        raise UserError(f"{path}, line {number}: the tag (column {end or len(fields)}) is empty; fill it in")


def _json(path: Path, lines: Sequence[str], word: str | None, tag: str | None) -> Tagged:
    found = Tagged([], [])
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = json_record(path, number, line)
        words, tags = (_list(path, number, record, *which) for which in ((word, WORDS, "word"), (tag, TAGS, "tag")))
        if len(words) != len(tags):
            raise UserError(f"{path}, line {number}: {len(words)} words and {len(tags)} tags; each word has one")
        if words:
            found.words.append(words)
            found.tags.append(tags)
    return found


def _list(
    path: Path, number: int, record: dict[str, object], given: str | None, usual: Sequence[str], key: str
) -> list[str]:
    name = given or next((name for name in usual if name in record), None)
    value = record.get(name) if name else None
    if not isinstance(value, list):
        asked = f"no list {given!r}" if given else f"no list that is surely the {key}s"
        held = ", ".join(map(repr, record)) or "nothing"
        raise UserError(f"{path}, line {number}: {asked}; it has {held}: name one with --set data.{key}=...")
    if any(isinstance(item, (list, dict)) or item is None or str(item) == "" for item in value):
        raise UserError(f"{path}, line {number}: {name!r} holds something else than words; every item is one")
    return [str(item) for item in value]


def _split(path: Path, read: Tagged, parts: int, seed: int) -> list[Tagged]:
    """By distinct sentence, seeded."""
    texts = [" ".join(words) for words in read.words]
    try:
        split = assign_splits(texts, [f"{i}" for i in range(len(texts))], parts, seed)
    except ValueError as fault:
        raise UserError(f"{path} cannot be split: {fault}; give more, or files named train and val") from None
    return [read.rows([i for i, part in enumerate(split) if part == wanted]) for wanted in range(parts)]


def tag_set(train: Tagged) -> list[str]:
    """The tags of the training text in order, O first; of an entity that has a B- or an I- tag both are there."""
    found = {tag for tags in train.tags for tag in tags}
    kinds = {tag[2:] for tag in found if tag[:2] in ("B-", "I-")}
    found |= {f"{prefix}-{kind}" for kind in kinds for prefix in "BI" if f"B-{kind}" in found}
    if len(found) < 2:
        raise UserError(f"all training words have the tag {min(found)!r}; tagging needs two tags or more")
    return sorted(found, key=lambda tag: (tag != "O", tag[2:] if tag[1:2] == "-" else tag, tag))


def tag_ids(tagged: Tagged, known: Sequence[str], where: str) -> list[list[int]]:
    """Places of tags in the list of known ones; UserError for one that training never saw."""
    index = {tag: i for i, tag in enumerate(known)}
    for row, (words, tags) in enumerate(zip(tagged.words, tagged.tags, strict=True), 1):
        for word, tag in zip(words, tags, strict=True):
            if tag not in index:
                shown = ", ".join(map(repr, known[:10])) + (", ..." if len(known) > 10 else "")
                raise UserError(
                    f"{where}, sentence {row}: the tag {tag!r} of {word!r} does not occur in training, which has {shown}"
                )
    return [[index[tag] for tag in tags] for tags in tagged.tags]

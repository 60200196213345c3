"""Parallel text: two languages, line by line, from a folder of text files or from one table.

A folder holds ``train.de train.en val.de val.en [test*.de test*.en]``, plain or ``.gz``; a table (TSV,
CSV, JSONL) is split by the seed. Nothing is normalised: a sentence is its line without the line end, and a
line ends at ``\\n`` alone.
"""

from pathlib import Path
from typing import NamedTuple

from allyouneed.data.files import plain_name, read_lines
from allyouneed.data.splits import assign_splits
from allyouneed.data.tables import read_columns
from allyouneed.errors import UserError

VAL_NAMES = ("val", "dev", "valid")
EXPECTED = "train.SRC train.TGT val.SRC val.TGT [test*.SRC test*.TGT], plain or .gz (train.de train.en)"
NO_LANGUAGES = frozenset(  # what files that are no sentences of a language end in
    ("txt", "tsv", "csv", "json", "jsonl", "yaml", "html", "md", "log", "py", "sh", "idx", "bin", "pt")
) | {"zip", "bz2", "xz", "tar", "model", "vocab", "sha256"}
Folder = dict[str, dict[str, Path]]  # files by prefix and suffix: {"train": {"de": train.de.gz, ...}, ...}


class ParallelText(NamedTuple):
    """Sentence pairs: ``target[i]`` translates ``source[i]``; both lists have the same length."""

    source: list[str]
    target: list[str]


class Corpus(NamedTuple):
    """A parallel corpus in its splits; ``tests`` maps a split's name (``test_2016_flickr``) to its pairs."""

    train: ParallelText
    val: ParallelText
    tests: dict[str, ParallelText]
    source_language: str
    target_language: str


def read_corpus(
    path: str | Path,
    source: str | None = None,
    target: str | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    seed: int = 1,
) -> Corpus:
    """Reads a folder, or one table, as a corpus.

    ``source`` and ``target`` are language suffixes; without them the folder's one pair is read in
    alphabetical order (de before en). In a table they also name the columns, unless ``source_column`` and
    ``target_column`` do (a name, or a number from 1). Where there is no val set it is split off train, and
    from a table test too: by distinct source, so that no source sentence stands in two splits, and by
    ``seed``, whatever the order of the lines. UserError says in one sentence what is wrong with which file.
    """
    path = existing_path(path)
    if not path.is_dir():
        return _table_corpus(path, source, target, source_column, target_column, seed)
    folder = list_folder(path)
    source, target = find_languages(path, folder, source, target)
    train = _read_pair(path, folder, "train", source, target)
    val_name = _first_with(folder, VAL_NAMES, source, target)
    if val_name:
        val = _read_pair(path, folder, val_name, source, target)
    else:
        train, val = auto_split(path, train, ("train", "val"), seed)
    names = [name for name in heldout_names(folder, source, target) if name != val_name]
    tests = {name: _read_pair(path, folder, name, source, target) for name in names}
    return Corpus(train, val, tests, source, target)


def read_split(
    path: str | Path,
    split: str,
    source: str | None = None,
    target: str | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    seed: int = 1,
) -> ParallelText:
    """One split by its file's prefix: ``test_2016_flickr`` reads ``test_2016_flickr.de[.gz]``.

    ``val``, ``dev`` and ``valid`` find one another. Splits that were made automatically (all of a table's;
    ``val`` and ``train`` of a folder without a val set) are those of ``read_corpus`` with the same ``seed``.
    """
    path = existing_path(path)
    if path.is_dir():
        folder = list_folder(path)
        source, target = find_languages(path, folder, source, target, split)
        names = (split, *VAL_NAMES) if split in VAL_NAMES else (split,)
        found = _first_with(folder, names, source, target)
        if found and (found != "train" or _first_with(folder, VAL_NAMES, source, target)):
            return _read_pair(path, folder, found, source, target)
        if split not in ("train", *VAL_NAMES):
            held = sorted(name for name, files in folder.items() if source in files and target in files)
            raise UserError(f"{path} has no {split}.{source} and {split}.{target}; its splits: {', '.join(held)}.")
    corpus = read_corpus(path, source, target, source_column, target_column, seed)
    splits = {"train": corpus.train, **dict.fromkeys(VAL_NAMES, corpus.val), **corpus.tests}
    if split not in splits:
        raise UserError(f"{path} is one table without a split {split!r}: it is split into train, val, test.")
    return splits[split]


def _first_with(folder: Folder, names: tuple[str, ...], source: str, target: str) -> str | None:
    """The first of the names that has a file on at least one side: its partner may be missing."""
    return next((name for name in names if {source, target} & folder.get(name, {}).keys()), None)


def existing_path(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"{path} does not exist: give a folder with {EXPECTED}, or a .tsv, .csv, .jsonl file.")
    return path


def list_folder(path: Path) -> Folder:
    """Files by prefix and suffix; a plain file goes before its .gz."""
    found: Folder = {}
    try:
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as fault:
        raise UserError(f"{path} cannot be listed: {fault.strerror}.") from fault
    for file in files:  # sorted: train.de comes before train.de.gz
        prefix, dot, suffix = plain_name(file).rpartition(".")
        if dot and prefix:
            found.setdefault(prefix, {}).setdefault(suffix, file)
    if not files:
        raise UserError(f"{path} is empty: put {EXPECTED} into it.")
    return found


def find_languages(
    path: Path, folder: Folder, source: str | None, target: str | None, split: str = "train"
) -> tuple[str, str]:
    """The two suffixes: those given, the rest read from train.* (from ``split`` where there is no train)."""
    names = ("train", split, *VAL_NAMES) if split in VAL_NAMES else ("train", split)
    prefix = next((name for name in names if name in folder), split)
    files = folder.get(prefix, {})
    asked = [language for language in (source, target) if language is not None]
    there = sorted(suffix for suffix in files if suffix.lower() not in NO_LANGUAGES)
    if not there and not files.keys() & set(asked):
        held = ", ".join(sorted(file.name for by in folder.values() for file in by.values())[:8]) or "others"
        raise UserError(f"{path} has no {prefix}.* in two languages: expected are {EXPECTED}; there are {held}.")
    for language in asked:
        if language not in files:
            raise UserError(f"{path} has no {prefix}.{language}; the languages there: {', '.join(there)}.")
    if source is not None and source == target:
        raise UserError(f"Source and target are both {source!r}: choose two of {', '.join(there)} in {path}.")
    rest = [language for language in there if language not in asked]
    missing = 2 - len(asked)
    if len(rest) < missing:
        raise UserError(f"{path} has {prefix}.* in one language only ({there[0]}): expected are {EXPECTED}.")
    if missing and len(rest) > missing:
        pairs = ", ".join(f"{one}-{other}" for i, one in enumerate(there) for other in there[i + 1 :])
        raise UserError(f"{path} holds several language pairs ({pairs}): choose with --src and --tgt.")
    chosen = iter(rest)
    return source or next(chosen), target or next(chosen)


def heldout_names(folder: Folder, source: str, target: str) -> list[str]:
    """Prefixes on both sides that are neither train nor val, nor more to train on (``train_extra``)."""
    pairs = [name for name, files in folder.items() if source in files and target in files]
    return sorted(name for name in pairs if not name.startswith("train") and name not in VAL_NAMES)


def _read_pair(path: Path, folder: Folder, name: str, source: str, target: str) -> ParallelText:
    files = folder.get(name, {})
    for language, other in ((source, target), (target, source)):
        if language not in files:
            raise UserError(f"{path} has no {name}.{language} or {name}.{language}.gz beside {name}.{other}.")
    pair = ParallelText(read_lines(files[source]), read_lines(files[target]))
    counts = [len(side) for side in pair]
    if counts[0] != counts[1]:
        raise UserError(
            f"{files[source]} has {counts[0]:,} lines and {files[target].name} has {counts[1]:,}:"
            f" from line {min(counts) + 1:,} on there is no partner; line n must translate line n."
        )
    if not counts[0]:
        raise UserError(f"{files[source]} and {files[target].name} have no lines.")
    return pair


def auto_split(path: Path, text: ParallelText, names: tuple[str, ...], seed: int) -> list[ParallelText]:
    """The text in ``len(names)`` splits, train first, as ``splits.assign_splits`` draws them."""
    try:
        parts = assign_splits(text.source, text.target, len(names), seed)
    except ValueError as fault:
        raise UserError(f"{path} has {fault}, too few to split into {', '.join(names)}.") from fault
    splits = [ParallelText([], []) for _ in names]
    for part, source, target in zip(parts, *text, strict=True):
        splits[part].source.append(source)
        splits[part].target.append(target)
    return splits


def _table_corpus(
    path: Path,
    source: str | None,
    target: str | None,
    source_column: str | None,
    target_column: str | None,
    seed: int,
) -> Corpus:
    columns = (source_column or source, target_column or target)
    if columns[0] is not None and columns[0] == columns[1]:
        raise UserError(f"{path}: source and target are both column {columns[0]!r}: name two columns.")
    table = read_columns(path, *columns)
    text = ParallelText(table.source, table.target)
    train, val, test = auto_split(path, text, ("train", "val", "test"), seed)
    return Corpus(train, val, {"test": test}, source or str(source_column), target or str(target_column))

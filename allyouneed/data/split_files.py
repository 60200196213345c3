"""Folders of splits: files whose names say what they are for (`train.tsv`, `dev.csv`, `test_2.jsonl`, `.gz` too)."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from allyouneed.data.files import plain_name
from allyouneed.data.splits import split_named
from allyouneed.errors import UserError


class SplitFiles(NamedTuple):
    """The files of a folder by their use, each list sorted by name; `train` has one at least."""

    train: list[Path]
    val: Path | None
    tests: dict[str, Path]  # by name; of several for validation all but the first are tests too


def split_files(path: Path, endings: Collection[str], what: str) -> SplitFiles:
    """Sorts the folder's files with these endings. `what` names one of them in the error where none is for training."""
    files = sorted(f for f in path.iterdir() if f.is_file() and Path(plain_name(f)).suffix.lower() in endings)
    named: dict[str, list[Path]] = {"train": [], "val": [], "test": []}
    for file in files:
        if split := split_named(plain_name(file)):
            named[split].append(file)
    if not named["train"]:
        held = ", ".join(file.name for file in files) or f"no {what}s"
        raise UserError(f"{path} has no {what} named train (it holds {held}); name the training {what} train.tsv or so")
    tests = {Path(plain_name(file)).stem: file for file in [*named["val"][1:], *named["test"]]}
    return SplitFiles(named["train"], next(iter(named["val"]), None), tests)

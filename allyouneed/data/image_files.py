"""Labelled image files found: a folder of class folders, with train, val and test or without, or a CSV."""

import csv
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from allyouneed.data.files import read_text
from allyouneed.data.pixels import SUFFIXES
from allyouneed.errors import UserError

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "valid", "validation", "dev")
IMAGE_COLUMNS = ("image", "path", "file", "filename", "file_name", "image_path", "filepath", "name", "img")
LABEL_COLUMNS = ("label", "class", "category", "target", "class_name", "labels", "y")
EXPECTED = "a folder with train/CLASS/*.jpg, or with CLASS/*.jpg, IDX files, a CSV of paths and labels, or digits"


@dataclass(frozen=True)
class Images:
    """Images with labels, not yet decoded."""

    names: list[str]  # for people: the path within the data
    labels: list[str]  # names of classes
    sources: Sequence[Path] | np.ndarray  # files, or pixels n y x [3] in bytes

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Images":
        chosen = [int(row) for row in rows]
        pixels = isinstance(self.sources, np.ndarray)
        sources = self.sources[chosen] if pixels else [self.sources[row] for row in chosen]  # type: ignore[index,call-overload]
        return Images([self.names[row] for row in chosen], [self.labels[row] for row in chosen], sources)

    @classmethod
    def joined(cls, parts: Sequence["Images"]) -> "Images":
        """Several sets of one kind as one."""
        arrays = [part.sources for part in parts if isinstance(part.sources, np.ndarray)]
        sources = np.concatenate(arrays) if arrays else [source for part in parts for source in part.sources]
        names, labels = ([item for part in parts for item in getattr(part, side)] for side in ("names", "labels"))
        return cls(names, labels, sources)

    def keys(self) -> list[bytes]:
        """What makes two images the same: their bytes; of a file its size and both its ends stand for them."""
        return [_key(source) for source in self.sources]


Splits = dict[str, Images]
"""By name: train, val where there is one, and what else is held out."""


def _key(source: Path | np.ndarray) -> bytes:
    if isinstance(source, np.ndarray):
        return hashlib.blake2b(source.tobytes(), digest_size=16).digest()
    try:
        with source.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            ends = []
            for place in (0, max(0, size - 4096)):
                file.seek(place)
                ends.append(file.read(4096))
    except OSError:  # it will be named as unreadable when it is decoded
        return str(source).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(b"%d\0" % size + b"".join(ends), digest_size=16).digest()


# ---- folders ---------------------------------------------------------------------------------------------------------


def find_in_folder(folder: Path) -> tuple[Splits, dict[str, int]]:
    """The splits of a folder, and how many files of which kinds were left out.

    Where train/ or test/ is, every folder of class folders is a split; else the class folders themselves are train.
    """
    left_out: dict[str, int] = {}
    places = {_split_named(place.name): place for place in _folders(folder)}
    if not {"train", "test"} & places.keys():
        return {"train": _class_folders(folder, folder, left_out)}, left_out
    splits = {name: _class_folders(place, folder, left_out) for name, place in places.items()}
    return {name: split for name, split in splits.items() if len(split)}, left_out


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX")))


def _class_folders(folder: Path, root: Path, left_out: dict[str, int]) -> Images:
    names, labels, sources = [], [], []
    for place in _folders(folder):
        for path in _files(place):
            if path.suffix.lower() in SUFFIXES:
                names.append(str(path.relative_to(root)))
                labels.append(place.name)
                sources.append(path)
            else:
                kind = path.suffix.lower() or "without suffix"
                left_out[kind] = left_out.get(kind, 0) + 1
    for path in folder.iterdir():
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            left_out["in no class folder"] = left_out.get("in no class folder", 0) + 1
    return Images(names, labels, sources)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below, links followed; hidden ones (.DS_Store, ._photo.jpg) are the system's, not the user's."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(files) if not name.startswith("."))


def image_files_in(folder: Path) -> list[Path]:
    """All images below a folder, by their names."""
    return [path for path in _files(folder) if path.suffix.lower() in SUFFIXES]


# ---- CSV -------------------------------------------------------------------------------------------------------------


def read_csv(path: Path, image_column: str | None, label_column: str | None) -> Splits:
    """A CSV (or TSV) with a header: a column of paths, beside the file, one of labels, and perhaps one named split."""
    text = read_text(path)
    first = text.split("\n", 1)[0]
    delimiter = next((mark for mark in ("\t", ",", ";") if mark in first), ",")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)]
    except csv.Error as fault:
        raise UserError(f"{path} is not valid CSV ({fault}); look for an open quote") from None
    header = [name.strip() for name in rows[0]] if rows else []
    images = _column(path, header, image_column, IMAGE_COLUMNS, "image_column")
    labels = _column(path, header, label_column, LABEL_COLUMNS, "label_column")
    split = next((i for i, name in enumerate(header) if name.lower() in ("split", "set", "subset")), None)
    found: dict[str, list[tuple[str, str]]] = {}
    for number, row in enumerate(rows[1:], 2):
        if max(images, labels, split or 0) >= len(row) or not row[images].strip() or not row[labels].strip():
            raise UserError(f"{path}, row {number}: a path or a label is missing; complete the row or delete it")
        name = _split_named(row[split].strip()) if split is not None else "train"
        found.setdefault(name, []).append((row[images].strip(), row[labels].strip()))
    return {
        name: Images([place for place, _ in pairs], [label for _, label in pairs], [path.parent / p for p, _ in pairs])
        for name, pairs in found.items()
    }


def _split_named(name: str) -> str:
    if name.lower() in TRAIN_NAMES:
        return "train"
    return "val" if name.lower() in VAL_NAMES else name


def _column(path: Path, header: list[str], given: str | None, usual: Sequence[str], setting: str) -> int:
    wanted = [given] if given is not None else [name for name in header if name.lower() in usual]
    for name in wanted:
        if name in header:
            return header.index(name)
    asked = f"no column {given!r}" if given is not None else f"no column named {', '.join(usual[:3])} or the like"
    held = ", ".join(repr(name[:40]) for name in header[:12]) or "nothing"
    raise UserError(f"{path} has {asked}; its first line has {held}: set data.{setting} to one of these")

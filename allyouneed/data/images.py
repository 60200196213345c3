"""Labelled images in their splits, wherever they come from; and the size and colour that suit them."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from allyouneed.data.image_arrays import idx_files, read_digits, read_idx_folder
from allyouneed.data.image_files import EXPECTED, TRAIN_NAMES, Images, Splits, find_in_folder, read_csv
from allyouneed.data.image_settings import ImageSettings
from allyouneed.data.image_splits import hold_out
from allyouneed.data.pixels import Header, Unreadable, read_header
from allyouneed.errors import UserError

SMALL = 64  # pixels: images of one size up to this are taken as they are
PHOTO = 128  # pixels: what photographs are brought to where nothing else is asked for
LOOKED_AT = 512  # images whose size and colour speak for all

NAMED: dict[str, Callable[[], Splits]] = {"digits": read_digits}
"""Data sets that need no folder."""


class ImageCorpus(NamedTuple):
    """A set of images in its splits; `tests` maps a split's name to its images."""

    classes: list[str]
    train: Images
    val: Images
    tests: dict[str, Images]
    left_out: dict[str, int]  # files that were passed over, by kind

    def split(self, name: str) -> Images:
        """The images of a split by name; `all` are those of every split."""
        splits = {"train": self.train, "val": self.val, **self.tests}
        if name == "all":
            return Images.joined([images for images in splits.values() if len(images)])
        if name not in splits:
            raise UserError(f"there is no split {name!r}; the splits of this data are {', '.join(splits)}, all")
        return splits[name]

    def fingerprint(self) -> str:
        """A digest of what is trained and judged on: resuming on other data would be another run."""
        digest = hashlib.sha256()
        for images in (self.train, self.val):
            for label, key in zip(images.labels, images.keys(), strict=True):
                digest.update(label.encode("utf-8", "surrogateescape") + b"\0" + key)
            digest.update(b"\1")
        return digest.hexdigest()


def read_images(settings: ImageSettings, known: Sequence[str] | None = None) -> ImageCorpus:
    """The data that the settings name, split where it is not. `known` are the classes of a model that is to judge it."""
    splits, left_out = find_splits(settings)
    if settings.class_names is not None:
        splits = {name: _renamed(images, settings.class_names) for name, images in splits.items()}
    place = settings.path or "digits"
    if not sum(map(len, splits.values())):
        raise UserError(f"{place} holds no images{_passed_over(left_out)}; --data takes {EXPECTED}")
    splits = _split(splits, settings.split_seed)
    train = splits.get("train", Images([], [], []))
    classes = list(known) if known is not None else sorted(set(train.labels), key=_in_order)
    _check_classes(place, splits, classes, known is not None)
    tests = {name: images for name, images in splits.items() if name not in ("train", "val")}
    return ImageCorpus(classes, _first(train, settings), splits.get("val", Images([], [], [])), tests, left_out)


def find_splits(settings: ImageSettings) -> tuple[Splits, dict[str, int]]:
    """The splits as the data brings them, and what was passed over. UserError where there is no such data."""
    name, path = settings.path or "digits", Path(settings.path or "digits").expanduser()
    if name in NAMED and (settings.path is None or not path.exists()):
        return NAMED[name](), {}
    if not path.exists():
        raise UserError(f"there is no file or folder {path}; --data takes {EXPECTED}")
    if path.is_dir():
        if idx_files(path):
            return read_idx_folder(path), {}
        return find_in_folder(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        return read_csv(path, settings.image_column, settings.label_column), {}
    raise UserError(f"{path} is no folder and no CSV; --data takes {EXPECTED}")


def _split(splits: Splits, seed: int) -> Splits:
    """What is missing, val or test, is held out of train."""
    missing = [name for name in ("val", "test") if name not in splits]
    if not missing or "train" not in splits:
        return splits
    train = splits["train"]
    part_of = hold_out(train.labels, train.keys(), len(missing), seed)
    parts = {name: train.take(np.nonzero(part_of == i)[0]) for i, name in enumerate(["train", *missing])}
    return {**splits, **parts}


def _first(train: Images, settings: ImageSettings) -> Images:
    """At most `max_images`, the same ones for the same seed."""
    if settings.max_images is None or settings.max_images >= len(train):
        return train
    order = np.random.default_rng(settings.split_seed).permutation(len(train))
    return train.take(np.sort(order[: settings.max_images]))


def _in_order(name: str) -> tuple[int, str]:
    """2 before 10, and numbers before words."""
    return (int(name), "") if name.isascii() and name.isdigit() else (1 << 62, name)


def _renamed(images: Images, class_names: str) -> Images:
    names = [name.strip() for name in class_names.split(",")]
    numbered = {str(number): name for number, name in enumerate(names)}
    unknown = sorted(set(images.labels) - numbered.keys() - set(names))
    if unknown:
        raise UserError(
            f"the data has the class {unknown[0]!r}, but data.class_names names the classes 0 to {len(names) - 1}; "
            "name them all, in the order of their numbers, or none"
        )
    return Images(images.names, [numbered.get(label, label) for label in images.labels], images.sources)


def _check_classes(place: str, splits: Splits, classes: Sequence[str], known: bool) -> None:
    if len(classes) < 2 and not known:
        only = f"only one class, {classes[0]!r}" if classes else "no training images"
        raise UserError(
            f"{place} has {only}; a classifier needs two at least, each a folder of its own: cat/*.jpg, dog/*.jpg "
            f"(below {' or '.join(TRAIN_NAMES[:1])}/, or directly in --data)"
        )
    for name, images in splits.items():
        strange = sorted(set(images.labels) - set(classes))
        if strange:
            where = "the model was trained on" if known else "train has"
            held = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
            raise UserError(
                f"{place}: {name} has the class {strange[0]!r}, but {where} {len(classes)} classes without it ({held}); "
                "move or rename its images"
            )


def _passed_over(left_out: dict[str, int]) -> str:
    held = ", ".join(f"{count:,} {kind}" for kind, count in sorted(left_out.items()))
    return f" in class folders (it holds files that are none: {held})" if held else ""


# ---- what suits the images -------------------------------------------------------------------------------------------


def look_at(images: Images, workers: int = 0) -> list[Header]:
    """Sizes and colours of a sample, spread evenly over the set; what cannot be read is left out."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), LOOKED_AT)).astype(int))
    if isinstance(images.sources, np.ndarray):
        rows = rows[:1]  # an array's images are all of one size
    with ThreadPoolExecutor(workers or None) as pool:
        found = pool.map(lambda row: _header_or_none(images.sources[row]), rows)
        return [header for header in found if header is not None]


def _header_or_none(source: Path | np.ndarray) -> Header | None:
    try:
        return read_header(source)
    except Unreadable:
        return None


def natural_side(headers: Sequence[Header]) -> int:
    """The side of small images that are all of one size; for photographs 128, or less where most are smaller."""
    edges = [min(header.width, header.height) for header in headers] or [PHOTO]
    longest = max((max(header.width, header.height) for header in headers), default=PHOTO)
    if longest <= SMALL and len({(header.width, header.height) for header in headers}) == 1:
        return longest
    return min(PHOTO, int(np.median(edges)))


def is_small(side: int) -> bool:
    """Whether images of this side are drawings or icons rather than photographs: crops would leave too little."""
    return side <= SMALL

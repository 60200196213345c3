"""Images that come as arrays: IDX files (MNIST's format) and the digits that scikit-learn brings."""

import gzip
import importlib.util
import re
from pathlib import Path

import numpy as np

from allyouneed.data.files import read_bytes
from allyouneed.data.image_files import VAL_NAMES, Images, Splits
from allyouneed.errors import UserError

KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NAME = re.compile(r"(?P<split>.*?)[-_.]?(?P<what>images|labels)[-_.]idx(?P<axes>\d)-ubyte(\.gz)?")


def read_idx(path: Path) -> np.ndarray:
    """An IDX file, plain or .gz: two zeros, the type, the number of axes, their lengths (big-endian), the values."""
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in KINDS:
        raise UserError(f"{path} is no IDX file: it does not begin with two zeros and a type; download it again")
    kind, axes = np.dtype(KINDS[data[2]]), data[3]
    start = 4 + 4 * axes
    lengths = np.frombuffer(data[4:start], ">u4").astype(np.int64) if len(data) >= start else np.zeros(0, np.int64)
    wanted = int(np.prod(lengths)) * kind.itemsize
    if len(lengths) != axes or len(data) != start + wanted:
        says = f"says {' x '.join(map(str, lengths))}" if len(lengths) == axes else "breaks off"
        raise UserError(f"{path} is damaged: its head {says}, but {max(len(data) - start, 0):,} bytes follow")
    return np.frombuffer(data, kind, offset=start).reshape(lengths).astype(kind.newbyteorder("="))


def idx_files(folder: Path) -> dict[str, dict[str, Path]]:
    """The folder's IDX files by split and by what they hold: {"train": {"images": ..., "labels": ...}, ...}."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):  # a plain file comes before its .gz, and is quicker to read
        match = NAME.fullmatch(path.name)
        if match and path.is_file():
            sides = found.setdefault(_split_named(match["split"]), {})
            if match["what"] in sides and sides[match["what"]].name != path.name.removesuffix(".gz"):
                raise UserError(
                    f"{folder} holds two sets, {sides[match['what']].name} and {path.name}; give each a folder of its own"
                )
            sides.setdefault(match["what"], path)
    return found


def _split_named(prefix: str) -> str:
    for name, marks in (("train", ("train",)), ("test", ("t10k", "test")), ("val", VAL_NAMES)):
        if any(mark in prefix.lower() for mark in marks):
            return name
    return prefix or "train"


def read_idx_folder(folder: Path) -> Splits:
    """All pairs of images and labels in the folder."""
    splits = {}
    for name, sides in idx_files(folder).items():
        missing = [what for what in ("images", "labels") if what not in sides]
        if missing:
            there = next(iter(sides.values()))
            raise UserError(f"{there} has no {missing[0]} beside it; put the set's {missing[0]} file into {folder}")
        splits[name] = _pair(sides["images"], sides["labels"])
    return splits


def _pair(images: Path, labels: Path) -> Images:
    pixels, numbers = read_idx(images), read_idx(labels)
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[3:] not in ((), (3,)):
        shape = " x ".join(map(str, pixels.shape))
        raise UserError(f"{images} holds {shape} values of type {pixels.dtype}, no images of bytes, grey or RGB")
    if numbers.shape != pixels.shape[:1]:
        raise UserError(f"{images} has {len(pixels):,} images, but {labels} {numbers.size:,} labels; they are no pair")
    names = [f"{images.name}[{i}]" for i in range(len(pixels))]
    return Images(names, [str(int(number)) for number in numbers.tolist()], pixels)


def read_digits() -> Splits:
    """The 1,797 handwritten digits of 8 x 8 (Alpaydin and Kaynak 1998), from scikit-learn's file, which is not imported."""
    spec = importlib.util.find_spec("sklearn")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for place in places if (path := Path(place) / "datasets" / "data" / "digits.csv.gz").is_file()]
    if not found:
        raise UserError(
            "digits come with scikit-learn, which is not here: pip install scikit-learn, or give --data DIR"
        )
    with gzip.open(found[0], "rt") as file:
        table = np.loadtxt(file, delimiter=",").astype(np.int64)  # 64 pixels from 0 to 16, and the digit
    pixels = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    names = [f"digits[{i}]" for i in range(len(pixels))]
    return {"train": Images(names, [str(digit) for digit in table[:, 64]], pixels)}

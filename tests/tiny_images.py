"""What the tests of images share: small pictures of two kinds that a small model can tell apart, as files and as IDX."""

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("across", "down")  # bright stripes that lie, and that stand


def stripes(kind: str, count: int, side: int = 12, channels: int = 3, seed: int = 0) -> np.ndarray:  # n y x [3]
    """Noisy stripes of any phase; no two pictures are the same."""
    draw = np.random.default_rng([seed, CLASSES.index(kind)])
    wave = np.sin(np.arange(side)[None] * 1.6 + draw.uniform(0, 6.28, (count, 1)))  # n side
    pattern = np.broadcast_to(wave[:, :, None] if kind == "across" else wave[:, None, :], (count, side, side))
    noisy = 128 + 90 * pattern + draw.normal(0, 12, (count, side, side))
    grey = np.clip(noisy, 0, 255).astype(np.uint8)
    return grey if channels == 1 else np.stack([grey, 255 - grey, grey // 2], -1)


def write_files(
    folder: Path, count: int, seed: int = 0, side: int = 12, suffix: str = "png", channels: int = 3
) -> Path:
    """`across/0.png across/1.png ... down/0.png ...` in a folder."""
    for kind in CLASSES:
        place = folder / kind
        place.mkdir(parents=True)
        for i, pixels in enumerate(stripes(kind, count, side, channels, seed)):
            Image.fromarray(pixels).save(place / f"{i}.{suffix}")
    return folder


def write_splits(folder: Path, train: int = 24, held_out: int = 6) -> Path:
    """train/, val/ and test/ with class folders."""
    for seed, (name, count) in enumerate((("train", train), ("val", held_out), ("test", held_out))):
        write_files(folder / name, count, seed)
    return folder


def write_idx(path: Path, values: np.ndarray) -> None:
    """The format as its inventor describes it: two zeros, 8 for bytes, the number of axes, their lengths, the values."""
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    data = head + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_idx_set(folder: Path, train: int = 24, test: int = 6, suffix: str = ".gz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count, seed in (("train", train, 0), ("t10k", test, 1)):
        pixels = np.concatenate([stripes(kind, count, channels=1, seed=seed) for kind in CLASSES])
        write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", pixels)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", np.repeat([0, 1], count))
    return folder

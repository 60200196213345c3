"""Decoded images: all in memory where they fit, otherwise decoded in time for their batch."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np

from allyouneed.data.image_files import Images
from allyouneed.data.pixels import Shape, Unreadable, decode, read_header
from allyouneed.errors import UserError

Progress = Callable[[float], None]
"""Called with the share that is done."""

CHUNK = 256  # images between two calls of a progress, and decoded at once
READ_AHEAD = 2  # batches that are decoded before they are asked for
NAMED_FILES = 3  # broken files that a sentence names


class Pixels(NamedTuple):
    """The images of a batch. What could not be decoded is black, and not `whole`."""

    images: np.ndarray  # b c side side, uint8
    whole: np.ndarray  # b, bool


class Source(Protocol):
    def __call__(self, rows: np.ndarray) -> Pixels: ...

    def expect(self, rows: np.ndarray) -> None:
        """These will be asked for soon."""


class Gallery:
    """Images of one shape with the numbers of their classes; `broken` says of those left out, by name, why."""

    def __init__(self, names: list[str], labels: np.ndarray, shape: Shape, source: Source, broken: dict[str, str]):
        self.names, self.labels, self.shape, self.broken = names, labels, shape, broken
        self.pixels = source

    def __len__(self) -> int:
        return len(self.names)


class InMemory:
    """All images in one array."""

    def __init__(self, images: np.ndarray):
        self.images = images  # n c side side, uint8

    def __call__(self, rows: np.ndarray) -> Pixels:
        return Pixels(self.images[rows], np.ones(len(rows), dtype=bool))

    def expect(self, rows: np.ndarray) -> None:
        pass


class OnDemand:
    """Images decoded when they are asked for, by threads: Pillow lets others compute while it decodes."""

    def __init__(self, images: Images, shape: Shape, workers: int, broken: dict[str, str]):
        self.images, self.shape, self.broken = images, shape, broken
        self.pool = ThreadPoolExecutor(workers)
        self.ahead: dict[bytes, list[Future[Any]]] = {}

    def __call__(self, rows: np.ndarray) -> Pixels:
        waiting = self.ahead.pop(rows.tobytes(), None) or self._begin(rows)
        out = Pixels(
            np.zeros((len(rows), self.shape.channels, self.shape.side, self.shape.side), np.uint8),
            np.ones(len(rows), dtype=bool),
        )
        for i, (row, future) in enumerate(zip(rows, waiting, strict=True)):
            try:
                out.images[i] = future.result()
            except Unreadable as fault:  # it was whole when it was listed: the disk, or someone, has changed it
                out.whole[i] = False
                self.broken[self.images.names[row]] = str(fault)
        return out

    def expect(self, rows: np.ndarray) -> None:
        if len(self.ahead) < READ_AHEAD and rows.tobytes() not in self.ahead:
            self.ahead[rows.tobytes()] = self._begin(rows)

    def _begin(self, rows: np.ndarray) -> list[Future[Any]]:
        return [self.pool.submit(decode, self.images.sources[row], self.shape) for row in rows]


def open_gallery(
    images: Images,
    classes: Sequence[str],
    shape: Shape,
    cache_gb: float = 4.0,
    workers: int = 0,
    progress: Progress | None = None,
) -> Gallery:
    """The images ready for use, without those that cannot be read. UserError where none can."""
    workers = workers or os.cpu_count() or 1
    fits = len(images) * shape.size <= cache_gb * 1e9
    broken: dict[str, str] = {}
    if fits and _is_of(images.sources, shape):
        source: Source = InMemory(_as_planes(images.sources))
    elif fits:
        images, source = _decode_all(images, shape, workers, broken, progress)
    else:
        images = _legible(images, workers, broken, progress)
        source = OnDemand(images, shape, workers, broken)
    if broken and not len(images):
        raise UserError(f"none of the {len(broken):,} images can be read: {some(broken)}")
    number = {name: i for i, name in enumerate(classes)}
    labels = np.fromiter((number[label] for label in images.labels), np.int64, len(images))
    return Gallery(images.names, labels, shape, source, broken)


def some(broken: dict[str, str]) -> str:
    """The first few of the broken files, each with what is wrong with it."""
    shown = [f"{name} ({why})" for name, why in list(broken.items())[:NAMED_FILES]]
    return ", ".join([*shown, *(["..."] if len(broken) > NAMED_FILES else [])])


def _is_of(sources: Any, shape: Shape) -> bool:
    """Whether pixels that come as an array have the shape already."""
    if not isinstance(sources, np.ndarray):
        return False
    return sources.shape[1:] == (shape.side, shape.side, 3)[: 2 if shape.channels == 1 else 3]


def _as_planes(pixels: Any) -> np.ndarray:  # n y x [3] -> n c y x
    return pixels[:, None] if pixels.ndim == 3 else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _decode_all(
    images: Images, shape: Shape, workers: int, broken: dict[str, str], progress: Progress | None
) -> tuple[Images, InMemory]:
    out = np.empty((len(images), shape.channels, shape.side, shape.side), np.uint8)

    def place(row: int) -> None:
        out[row] = decode(images.sources[row], shape)

    whole = _whole(images, place, workers, broken, progress)
    return (images, InMemory(out)) if not broken else (images.take(whole), InMemory(out[whole]))


def _legible(images: Images, workers: int, broken: dict[str, str], progress: Progress | None) -> Images:
    whole = _whole(images, lambda row: read_header(images.sources[row]), workers, broken, progress)
    return images.take(whole) if broken else images


def _whole(
    images: Images, read: Callable[[int], Any], workers: int, broken: dict[str, str], progress: Progress | None
) -> list[int]:
    """The rows that can be read; the others go into `broken`."""
    whole = []

    def fault(row: int) -> str | None:
        try:
            read(row)
        except Unreadable as unreadable:
            return str(unreadable)
        return None

    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(images), CHUNK):
            rows = range(start, min(start + CHUNK, len(images)))
            for row, why in zip(rows, pool.map(fault, rows), strict=True):
                if why is None:
                    whole.append(row)
                else:
                    broken[images.names[row]] = why
            if progress:
                progress(rows.stop / len(images))
    return whole

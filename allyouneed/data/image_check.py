"""`allyouneed data check` for images: looks for what spoils a set of them, and goes on past the first fault.

What makes training wrong or impossible is an error: one class, nothing readable. What costs only a little, or may be
meant, is a warning.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from allyouneed.data.check import Finding, Severity
from allyouneed.data.gallery import some
from allyouneed.data.image_files import Images, Splits
from allyouneed.data.image_settings import ImageSettings
from allyouneed.data.images import find_splits, natural_side
from allyouneed.data.pixels import SUFFIXES, Header, Shape, Unreadable, decode, read_header
from allyouneed.errors import UserError

FEW = 10  # images of a class: fewer can hardly be learnt from
UNEVEN = 10.0  # times as many images in the largest class as in the smallest
LONG = 3.0  # times as long as wide: a crop of the middle leaves most of it out
TINY = Shape(3, 16)
"""To this size every image is decoded whole, to know that it can be."""


class Seen(NamedTuple):
    """What reading the images of a split has shown."""

    images: Images  # those that can be read
    headers: list[Header]
    broken: dict[str, str]  # name -> why


class ImageReport:
    """All findings about one set of images, in the order in which they were made."""

    def __init__(self, path: str):
        self.path = path
        self.findings: list[Finding] = []

    @property
    def exit_code(self) -> int:
        """1 if training on these images would go wrong, else 0: warnings are no failure."""
        return int(any(finding.severity == "error" for finding in self.findings))

    def add(self, severity: Severity, check: str, where: str, sentence: str, found: int = 0) -> None:
        self.findings.append(Finding(severity, check, where, sentence, (), found))

    def judge(self, check: str, where: str, names: Iterable[str], what: str) -> None:
        """A warning that names the first few, or the good news."""
        held = dict.fromkeys(names)
        if not held:
            self.add("ok", check, where, f"No image is {what}.")
            return
        shown = ", ".join([*list(held)[:3], *(["..."] if len(held) > 3 else [])])
        count = "1 image is" if len(held) == 1 else f"{len(held):,} images are"
        self.add("warning", check, where, f"{count} {what}: {shown}", len(held))


def check_images(settings: ImageSettings, progress: Callable[[float], None] | None = None) -> ImageReport:
    """Reads every image of the data that the settings name. UserError only where there is no such data."""
    report = ImageReport(settings.path or "digits")
    splits, left_out = find_splits(settings)
    for kind, count in sorted(left_out.items()):
        report.add("warning", "files", "all", f"{count:,} file(s) {kind} are no images here and are left out.", count)
    if not sum(map(len, splits.values())):
        report.add("error", "classes", "all", "There are no images in class folders.")
        return report
    done, total = 0, sum(map(len, splits.values()))

    def tick() -> None:
        nonlocal done
        done += 1
        if progress and done % 100 == 0:
            progress(done / total)

    seen = {name: see(images, tick) for name, images in splits.items()}
    _check_readable(report, seen)
    _check_classes(report, splits, seen)
    _check_sizes(report, seen)
    _check_copies(report, seen)
    return report


def see(images: Images, tick: Callable[[], None]) -> Seen:
    """Decodes every image, small; `tick` is called after each."""

    def look(source: Path | np.ndarray) -> Header | str:
        try:
            decode(source, TINY)
            return read_header(source)
        except Unreadable as fault:
            return str(fault)

    found: list[Header | str] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for result in pool.map(look, images.sources):
            found.append(result)
            tick()
    broken = {name: why for name, why in zip(images.names, found, strict=True) if isinstance(why, str)}
    whole = [row for row, result in enumerate(found) if not isinstance(result, str)]
    return Seen(images.take(whole), [h for h in found if not isinstance(h, str)], broken)


def _check_readable(report: ImageReport, seen: dict[str, Seen]) -> None:
    for name, split in seen.items():
        if split.broken and not len(split.images):
            report.add("error", "readable", name, f"None of the images can be read: {some(split.broken)}.")
        elif split.broken:
            count = len(split.broken)
            says = f"{count:,} image(s) cannot be read and would be left out: {some(split.broken)}."
            report.add("warning", "readable", name, says, count)
        else:
            report.add("ok", "readable", name, f"All {len(split.images):,} images can be read.")


def _check_classes(report: ImageReport, splits: Splits, seen: dict[str, Seen]) -> None:
    if "train" not in seen:
        report.add("error", "classes", "train", "There is no train split.")
        return
    counts = Counter(seen["train"].images.labels)
    emptied = sorted(set(splits["train"].labels) - counts.keys())
    if emptied:
        report.add("error", "classes", "train", f"No image of the class {emptied[0]!r} can be read.")
    if len(counts) < 2:
        report.add("error", "classes", "train", f"{len(counts)} class(es); a classifier needs two at least.")
    _check_balance(report, counts)
    for name, split in seen.items():
        strange = sorted(set(split.images.labels) - set(splits["train"].labels))
        if strange:
            report.add("error", "classes", name, f"The class {strange[0]!r} is not in train.", len(strange))
    for name in ("val", "test"):
        if name not in seen:
            report.add("ok", "splits", name, f"No {name} set: one is split off train automatically, by the seed.")


def _check_balance(report: ImageReport, counts: Counter[str]) -> None:
    if not counts:
        return
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    says = f"{len(counts)} classes; the largest, {most!r}, has {many:,} images, the smallest, {least!r}, {few:,}"
    if many > UNEVEN * few:
        says += ": rare classes will be recognised badly, and accuracy will hide it (look at macro F1)"
    report.add("warning" if many > UNEVEN * few else "ok", "balance", "train", f"{says}.")
    scarce = {name: "" for name, count in sorted(counts.items()) if count < FEW}
    if scarce:
        shown = ", ".join([*list(scarce)[:5], *(["..."] if len(scarce) > 5 else [])])
        report.add("warning", "balance", "train", f"Fewer than {FEW} images in: {shown}.", len(scarce))


def _check_sizes(report: ImageReport, seen: dict[str, Seen]) -> None:
    for name, split in seen.items():
        if not split.headers:
            continue
        widths, heights = (np.array(edges) for edges in zip(*((h.width, h.height) for h in split.headers), strict=True))
        middle = f"{int(np.median(widths))} x {int(np.median(heights))}"
        same = len(set(zip(widths.tolist(), heights.tolist(), strict=True))) == 1
        span = (
            f"from {widths.min()} x {heights.min()} to {widths.max()} x {heights.max()} (least and most of each edge)"
        )
        side, greys = natural_side(split.headers), sum(header.grey for header in split.headers)
        colours = "grey" if greys == len(split.headers) else "in colour" if not greys else f"{greys:,} of them grey"
        says = f"All {middle}" if same else f"Typically {middle}, {span}"
        report.add(
            "ok", "sizes", name, f"{says}, {colours}; brought to {side} x {side} unless data.image_size is given."
        )
        long = [n for n, w, h in zip(split.images.names, widths, heights, strict=True) if max(w, h) > LONG * min(w, h)]
        if long:
            report.judge(
                "sizes", name, long, f"over {LONG:g} times as long as wide, and data.fit=crop takes the middle"
            )


def _check_copies(report: ImageReport, seen: dict[str, Seen]) -> None:
    """Copies within train, copies with two labels, and held-out images that stand in train."""
    if "train" not in seen:
        return
    trained: dict[bytes, str] = {}
    again, disputed = [], []
    for name, label, key in zip(*_rows(seen["train"].images), strict=True):
        if key not in trained:
            trained[key] = label
        elif trained[key] == label:
            again.append(name)
        else:
            disputed.append(name)
    report.judge("copies", "train", again, "a copy of another")
    if disputed:
        report.judge("labels", "train", disputed, "a copy of one with another label")
    for split, found in seen.items():
        if split != "train":
            names, _, keys = _rows(found.images)
            leaked = [name for name, key in zip(names, keys, strict=True) if key in trained]
            report.judge("overlap", split, leaked, "also in train, which makes scores too good")


def _rows(images: Images) -> tuple[list[str], list[str], list[bytes]]:
    return images.names, images.labels, images.keys()


def looks_like_images(path: Path) -> bool:
    """Whether a folder or file is a set of images rather than text; what is no data at all is neither."""
    try:
        splits, _ = find_splits(ImageSettings(path=str(path)))
    except (UserError, OSError):
        return False
    first = next((images.sources[0] for images in splits.values() if len(images)), None)
    return first is not None and (not isinstance(first, Path) or first.suffix.lower() in SUFFIXES)

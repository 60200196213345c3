"""Image classifiers from the command line: recognise files, score a split, check a set of images."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from allyouneed.data.check import MARKS
from allyouneed.data.image_check import TINY, ImageReport, check_images
from allyouneed.data.image_files import image_files_in
from allyouneed.data.image_settings import ImageSettings
from allyouneed.data.pixels import Unreadable, decode, read_header
from allyouneed.errors import UserError
from allyouneed.recipes.image_run import ImageRun, Prediction
from allyouneed.training.progress import Bar

TOGETHER = 256  # files that are read and recognised at once


def predict_files(run: ImageRun, places: Sequence[str | Path], top_k: int = 3, as_json: bool = False) -> list[str]:
    """`allyouneed predict RUN IMAGES...`: the likeliest classes of each file, as lines of a table or of a JSON list.

    A file that is named has to be readable; of a folder's files those that are not are told on standard error.
    """
    files = _files([Path(place) for place in places])
    found: list[tuple[Path, list[Prediction]]] = []
    for start in range(0, len(files), TOGETHER):
        part = files[start : start + TOGETHER]
        found += list(zip(part, run.predict([str(path) for path in part], top_k), strict=True))
    if as_json:
        rows = [{"file": str(path), "predictions": [best._asdict() for best in bests]} for path, bests in found]
        return json.dumps(rows, ensure_ascii=False, indent=1).split("\n")
    cells = [[str(path), *(f"{label} {share:.1%}" for label, share in bests)] for path, bests in found]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _files(places: Sequence[Path]) -> list[Path]:
    """The files that are named and the images in the folders that are named, each known to be an image."""
    if not places:
        raise UserError("there is nothing to recognise: name image files, or a folder of them, after the run")
    files: list[Path] = []
    for place in places:
        if not place.is_dir():
            files.append(_checked(place))
            continue
        inside = image_files_in(place)
        if not inside:
            raise UserError(f"{place} holds no image files; give files, or a folder with JPEG, PNG or WebP files")
        files += [path for path in inside if _is_image(path)]
    if not files:
        raise UserError("none of the files is an image that can be read")
    return files


def _checked(path: Path) -> Path:
    try:
        read_header(path)
    except Unreadable as fault:
        raise UserError(f"{path} cannot be read ({fault}); give a JPEG, PNG or WebP file") from None
    return path


def _is_image(path: Path) -> bool:
    """Whether the file can be decoded to its end; if not, a warning says so."""
    try:
        decode(path, TINY)
    except Unreadable as fault:
        print(f"warning: {path} cannot be read ({fault}) and is left out", file=sys.stderr)
        return False
    return True


def evaluate(folder: Path, data: Path | None = None, split: str = "test") -> dict[str, Any]:
    """`allyouneed evaluate`: accuracy and what else is known of a split, with what it was measured on."""
    bar = Bar("recognising")
    try:
        return ImageRun(folder).evaluate(split, data, lambda share: bar.progress(share, None, {}))
    finally:
        bar.close()


def check_image_data(path: Path) -> int:
    """`allyouneed data check` for images: prints the findings; the exit code."""
    bar = Bar("reading")
    try:
        report = check_images(ImageSettings(path=str(path)), lambda share: bar.progress(share, None, {}))
    finally:
        bar.close()
    Console().print(render(report))
    return report.exit_code


def render(report: ImageReport) -> Group:
    """The report as a table, a row for each finding, and a sentence that sums it up."""
    table = Table(title=Text(report.path), title_justify="left", box=None, pad_edge=False)
    for heading in ("", "check", "where", "finding"):
        table.add_column(heading, overflow="fold")
    for finding in report.findings:
        table.add_row(MARKS[finding.severity], *(Text(t) for t in (finding.check, finding.where, finding.sentence)))
    errors, warnings = (sum(f.severity == kind for f in report.findings) for kind in ("error", "warning"))
    advice = "Training on it would go wrong: mend the errors first." if errors else "It can be trained on."
    return Group(table, Text(f"{errors} error(s), {warnings} warning(s). {advice}"))

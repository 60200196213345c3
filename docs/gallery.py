"""Makes the gallery: pages of the explorer with a translation, a text with hidden words and an image, each at work.

`python docs/gallery.py --translator RUN --encoder RUN --classifier RUN` writes docs/gallery/*.html, a picture of each,
and docs/gallery.md. Which models they are is said there; any runs will do, as will a part of them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for benchmarks, which are no package of the library

from allyouneed import load
from allyouneed.tracing.page import write_whole
from allyouneed.tracing.trace import Trace

HERE = Path(__file__).resolve().parent
SENTENCE = "Zwei kleine Hunde spielen am Strand mit einem roten Ball."
HIDDEN = "this is a [MASK] movie with a good story ."
MOST = 1_000_000  # bytes of a page


class Piece(NamedTuple):
    """One page of the gallery."""

    name: str
    title: str
    says: str
    figure: dict[str, object]  # for `Trace.plot`


PIECES = {
    "translator": Piece(
        "translation", "A translation",
        "Encoder, masked decoder and cross-attention of every layer and head, the beam tree with the branches that were "
        "pruned, the position code, and the shapes from input to output.",
        {"what": "attention", "relation": "cross", "layer": -1},
    ),
    "encoder": Piece(
        "words", "Hidden words",
        "What an encoder would put where a word is hidden, and where each head looks to find it.",
        {"what": "heads", "relation": "self", "layer": -1},
    ),
    "classifier": Piece(
        "image", "An image",
        "Click a patch and see where it looks, in each layer and head; the classes stand beside it.",
        {"what": "rollout", "layer": -1},
    ),
}  # fmt: skip


def traced(kind: str, run: Path, image: Path | None) -> Trace:
    opened = load(run, "cpu")
    if kind == "translator":
        return opened.look(SENTENCE)
    if kind == "encoder":
        return opened.look(HIDDEN)
    if image is not None:
        return opened.look(image)
    with TemporaryDirectory() as folder:
        return opened.look(_digit(Path(folder) / "digit.png"))


def _digit(path: Path) -> Path:
    """One of the digits that scikit-learn brings."""
    from PIL import Image
    from sklearn.datasets import load_digits

    Image.fromarray((load_digits().images[4] * 15.9375).astype("uint8")).save(path)
    return path


def make(piece: Piece, trace: Trace) -> str:
    """The page and the picture of one piece; its section of docs/gallery.md."""
    folder = HERE / "gallery"
    folder.mkdir(exist_ok=True)
    page = trace.html()
    if len(page.encode()) > MOST:
        raise SystemExit(
            f"{piece.name}.html has {len(page.encode()):,} bytes, more than {MOST:,}: take a smaller model"
        )
    write_whole(folder / f"{piece.name}.html", page)
    figure = dict(piece.figure)
    relation = figure.get("relation") or next(iter(trace.manifest.relations))
    figure["layer"] = len(trace.manifest.relations[str(relation)].layers) - 1
    trace.plot(**figure, output=folder / f"{piece.name}.svg")  # type: ignore[arg-type]
    card = trace.manifest.model
    given = f"“{trace.manifest.input}”" if trace.manifest.input else "an image"
    answer = f" → “{trace.manifest.output}”" if trace.manifest.output else ""
    return (
        f"## {piece.title}\n\n[![{piece.title}](gallery/{piece.name}.svg)](gallery/{piece.name}.html)\n\n{piece.says}\n\n"
        f"[The page](gallery/{piece.name}.html): {given}{answer}; {card.name}, {card.parameters:,} parameters.\n"
    )


def photograph(page: Path, place: str, picture: Path) -> None:
    """A picture of a page at a place (`screen=head&...`), for the README; none where there is no browser."""
    from benchmarks.tracing_page import browser

    with browser() as opened:
        if opened is None:
            print("no Chromium here: the picture for the README is not made anew")
            return
        view = opened.new_page(viewport={"width": 1280, "height": 980})
        view.goto(f"{page.as_uri()}#{place}")
        view.wait_for_selector("html[data-ready]", state="attached")
        view.wait_for_timeout(500)
        view.screenshot(path=picture)


PREFACE = """# Gallery

<!-- Written by docs/gallery.py. -->

Pages of the explorer, each one file that opens from disk without a network: save it and open it in a browser (on GitHub,
with “Download raw file”). Your own: `allyouneed explore RUN --input "..." --output page.html`.

These were made by

```bash
python docs/gallery.py {words}
```

"""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for kind, piece in PIECES.items():
        parser.add_argument(f"--{kind}", type=Path, help=f"run for: {piece.title.lower()}")
    parser.add_argument("--image", type=Path, help="an image for the classifier; else a digit of scikit-learn's")
    given = parser.parse_args(words)
    runs = {kind: run for kind in PIECES if (run := getattr(given, kind)) is not None}
    if not runs:
        parser.error("give at least one of --translator, --encoder, --classifier")
    sections = [make(PIECES[kind], traced(kind, run, given.image)) for kind, run in runs.items()]
    if "translator" in runs:
        place = "screen=head&relation=cross&layer=2&head=1&theme=light&lang=en"
        photograph(HERE / "gallery" / "translation.html", place, HERE / "gallery" / "explorer.png")
    shown = " ".join(f"--{kind} runs/{PIECES[kind].name}" for kind in runs)
    write_whole(HERE / "gallery.md", PREFACE.format(words=shown) + "\n".join(sections))


if __name__ == "__main__":
    main()

"""Makes the gallery: pages of the explorer with a translation, a text with hidden words and an image, each at work.

`make gallery` (or `python docs/gallery.py`) writes docs/gallery/index.html and a page for each trace that is kept there.
`python docs/gallery.py --translator RUN --encoder RUN --classifier RUN` records the traces anew, with any runs or a part
of them, draws their pictures, and writes docs/gallery.md.
"""

import argparse
import base64
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for benchmarks, which are no package of the library

from allyouneed import load
from allyouneed.tracing.page import page, write_whole
from allyouneed.tracing.svg import element, escape
from allyouneed.tracing.trace import Trace

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "gallery"
SENTENCE = "Zwei kleine Hunde spielen am Strand mit einem roten Ball."
HIDDEN = "this is a [MASK] movie with a good story ."


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


def keep(piece: Piece, trace: Trace) -> None:
    """The trace of a piece, and its picture: what is kept in the repository."""
    FOLDER.mkdir(exist_ok=True)
    trace.save(FOLDER / f"{piece.name}.trace")
    figure = dict(piece.figure)
    relation = figure.get("relation") or next(iter(trace.manifest.relations))
    figure["layer"] = len(trace.manifest.relations[str(relation)].layers) - 1
    trace.plot(**figure, output=FOLDER / f"{piece.name}.svg")  # type: ignore[arg-type]


def told(piece: Piece) -> str:
    """The section of docs/gallery.md."""
    trace = Trace.load(FOLDER / f"{piece.name}.trace")
    card = trace.manifest.model
    given = f"“{trace.manifest.input}”" if trace.manifest.input else "an image"
    answer = f" → “{trace.manifest.output}”" if trace.manifest.output else ""
    return (
        f"## {piece.title}\n\n![{piece.title}](gallery/{piece.name}.svg)\n\n{piece.says}\n\n"
        f"[The trace](gallery/{piece.name}.trace): {given}{answer}; {card.name}, {card.parameters:,} parameters.\n"
    )


def pages(pieces: Sequence[Piece]) -> Path:
    """The explorer's page of each trace that is kept, and one that leads to them."""
    cards = []
    for piece in pieces:
        write_whole(FOLDER / f"{piece.name}.html", Trace.load(FOLDER / f"{piece.name}.trace").html())
        link = element("a", escape(piece.title), href=f"{piece.name}.html")
        data = base64.b64encode(
            (FOLDER / f"{piece.name}.svg").read_bytes()
        ).decode()  # the page's policy: nothing beside it
        style = "max-width:100%;background:#fff"
        picture = element("img", src=f"data:image/svg+xml;base64,{data}", alt=piece.title, style=style)
        cards.append(element("section", element("h2", link), picture, element("p", escape(piece.says))))
    write_whole(FOLDER / "index.html", page("Gallery", element("h1", "Models at work"), *cards))
    return FOLDER / "index.html"


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

Three models at work. `make gallery` writes their pages from the traces that lie here; open `docs/gallery/index.html` in a
browser, no network is needed. One alone: `allyouneed explore docs/gallery/translation.trace --output page.html`. Your own:
`allyouneed explore RUN --input "..." --output page.html`.

The traces were made by

```bash
python docs/gallery.py --translator runs/translation --encoder runs/words --classifier runs/image
```

where `runs/translation` is Multi30k German-English (docs/results.md, seed 1), `runs/words` a tiny BERT after 2,500 updates
on the sentences of SST-2, and `runs/image` the digits preset.

"""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for kind, piece in PIECES.items():
        parser.add_argument(f"--{kind}", type=Path, help=f"run for: {piece.title.lower()}")
    parser.add_argument("--image", type=Path, help="an image for the classifier; else a digit of scikit-learn's")
    given = parser.parse_args(words)
    runs = {kind: run for kind in PIECES if (run := getattr(given, kind)) is not None}
    for kind, run in runs.items():
        trace = traced(kind, run, given.image)
        trace.manifest.model.run = run.name  # as it was given, and not what a link leads to
        keep(PIECES[kind], trace)
    kept = [piece for piece in PIECES.values() if (FOLDER / f"{piece.name}.trace").exists()]
    index = pages(kept)
    if "translator" in runs:
        place = "screen=head&relation=cross&layer=2&head=1&theme=light&lang=en"
        photograph(FOLDER / "translation.html", place, FOLDER / "explorer.png")
    if runs:
        write_whole(HERE / "gallery.md", PREFACE + "\n".join(map(told, kept)))
    print(f"open {index} in a browser")


if __name__ == "__main__":
    main()

"""Pictures as files, what is refused, and traces in notebooks."""

import builtins
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import screen_traces
import traces
from PIL import Image

from allyouneed.errors import UserError
from allyouneed.tracing.trace import Trace

Make = Callable[[], Trace]


# ---- files -----------------------------------------------------------------------------------------------------------


def test_files_by_their_ends(tmp_path: Path) -> None:
    pytest.importorskip("typst")
    trace = traces.translator(["▁مرحبا", "▁بالعالم", "</s>"], ["▁你好", "▁世界", "</s>"])
    svg = trace.plot("attention", head=0, output=tmp_path / "x.svg", width=80)
    assert (tmp_path / "x.svg").read_text(encoding="utf-8").endswith(svg + "\n")
    root = ET.fromstring(svg)
    assert root.get("width") == "80.00mm"
    trace.plot("attention", head=0, output=tmp_path / "x.png", width=80, scale=2)
    with Image.open(tmp_path / "x.png") as image:
        assert abs(image.width - 80 / 25.4 * 192) <= 1.5 and round(image.info["dpi"][0]) == 192
        assert image.getpixel((0, 0)) == (255, 255, 255)
    trace.plot("attention", head=0, output=tmp_path / "x.PDF", width=80)
    pdf = (tmp_path / "x.PDF").read_bytes()
    assert pdf.startswith(b"%PDF-") and re.search(rb"/FontFile[23]", pdf), "fonts lie inside"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.PDF", "x.png", "x.svg"]


def test_other_ends_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.jpg does not end in \.svg, \.png, \.pdf"):
        traces.translator().plot("attention", output=tmp_path / "x.jpg")
    with pytest.raises(UserError, match="cannot write the picture"):
        traces.translator().plot("attention", output=tmp_path / "no" / "x.svg")
    assert not list(tmp_path.iterdir())


def test_without_typst_svg_works_and_the_others_say_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(UserError, match=r"pip install 'allyouneed\[pictures\]'"):
        traces.translator().plot("attention", output=tmp_path / "x.pdf")
    traces.translator().plot("attention", output=tmp_path / "x.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


REFUSALS: list[tuple[Make, str, dict[str, Any], str]] = [
    (traces.translator, "attention", {"relation": "self"}, "no relation 'self'"),
    (traces.translator, "attention", {"layer": 2}, "there is no layer 2"),
    (traces.translator, "heads", {"layer": -1}, "there is no layer -1"),
    (traces.translator, "attention", {"head": 4}, "4 heads, counted from 0; there is no head 4"),
    (traces.translator, "lines", {"query": 6}, "there is no query 6"),
    (traces.translator, "map", {}, "there is no picture 'map'; there are attention"),
    (traces.translator, "curves", {}, "holds no learning curves"),
    (traces.translator, "beam", {}, "no beam search"),
    (traces.translator, "halting", {}, "no token of this trace halted"),
    (traces.translator, "positions", {}, "no codes of positions"),
    (traces.translator, "image", {}, "not an image but a text"),
    (traces.translator, "attention", {"width": 0}, "width of 0 mm"),
    (lambda: traces.encoder(["x"] * 130), "lines", {}, "130 tokens"),
    (screen_traces.signed_trace, "lines", {}, "both signs"),
    (screen_traces.beam_trace, "attention", {"relation": "encoder"}, "no relation"),
]


@pytest.mark.parametrize("make, what, asked, says", REFUSALS)
def test_refusals_say_what_there_is(make: Make, what: str, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        make().plot(what, **asked)


# ---- notebooks -------------------------------------------------------------------------------------------------------


def test_outside_of_a_notebook_nothing_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("IPython"):
            raise ImportError
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="open it in a browser"):
        traces.translator().show()


def test_in_a_notebook_the_page_is_in_a_frame(browser_page: Any, tmp_path: Path) -> None:
    held = tmp_path / "notebook.html"
    held.write_text(
        f"<!doctype html><html data-ready><meta charset=utf-8>{traces.hostile()._repr_html_()}", encoding="utf-8"
    )
    page = browser_page(held)
    frame = page.frame_locator("iframe")
    frame.get_by_text("Head", exact=True).first.click()
    frame.locator("canvas").first.wait_for()
    assert page.evaluate("window.hacked") is None

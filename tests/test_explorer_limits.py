"""The explorer at its limits: languages, sizes of windows and models, hostile labels, damaged pages."""

import re

import numpy as np
import pytest
import traces
from browser import Open
from matrix_probe import cividis, close, colour, state

from allyouneed.tracing.explorer import page
from allyouneed.tracing.manifest import Manifest, ModelCard
from allyouneed.tracing.svg import escape
from allyouneed.tracing.trace import Trace


@pytest.fixture(scope="module")
def html() -> str:
    return page(traces.translator())


def test_chinese_is_for_who_reads_it_and_by_a_button(browser_page: Open, html: str) -> None:
    view = browser_page(html, locale="zh-CN")
    assert view.inner_text("#tab-overview") == "总览" and view.evaluate("document.documentElement.lang") == "zh-Hans"
    view.click("#tool-language")
    assert view.inner_text("#tab-overview") == "Overview" and state(view)["lang"] == "en"
    view.reload()
    assert view.inner_text("#tab-overview") == "Overview"


def test_dark_is_the_systems_choice_or_a_button(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=head", dark=True)
    paper = "getComputedStyle(document.body).backgroundColor"
    assert view.evaluate(paper) == "rgb(18, 21, 26)"
    view.shot("dark")
    view.click("#tool-theme")
    assert view.evaluate(paper) == "rgb(251, 250, 247)" and state(view)["theme"] == "light"


@pytest.mark.parametrize("hash", ["", "screen=head&relation=cross&query=2", "screen=compare&relation=encoder"])
@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_the_window(browser_page: Open, html: str, hash: str, width: int) -> None:
    view = browser_page(html, hash, width=width)
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    view.shot("narrow")


def test_many_heads_and_a_single_token(browser_page: Open) -> None:
    view = browser_page(page(traces.encoder(["one"], heads=96)), width=360)
    assert view.locator(".map").count() == 96 and view.evaluate("document.documentElement.scrollWidth") <= 360
    view.evaluate("location.hash = 'screen=head&head=95&query=0'")
    view.wait_for_selector("#matrix")
    assert close(colour(view, 0, 0), cividis(1))


def test_a_large_model_opens_quickly(browser_page: Open) -> None:
    text = page(traces.large())
    assert len(text) < 60e6
    view = browser_page(text)
    assert float(view.evaluate("document.documentElement.dataset.ready")) < 3000
    view.evaluate("location.hash = 'screen=head&layer=5&head=0&query=300'")
    view.wait_for_selector("#matrix")
    assert view.inner_text(".bars li:first-child .bar-name") == "t300"
    assert view.evaluate("document.querySelectorAll('*').length") < 5000 and view.locator(".lines path").count() <= 2000


@pytest.mark.parametrize("kept", ["qk", "pooled"])
def test_long_inputs_are_pooled_and_say_so(browser_page: Open, kept: str) -> None:
    trace = traces.large(2100, layers=1, heads=2, k=8, kept=kept)
    view = browser_page(page(trace), "screen=head&query=2000")
    assert "each point is the largest of about" in view.inner_text(".pooled-note")
    if kept == "qk":
        best = int(trace.weights("self", 0)[0, 2000].argmax())
        assert view.inner_text(".bars li:first-child .bar-name") == f"t{best}"
    else:
        assert "Only this picture was kept" in view.inner_text(
            ".pooled-note"
        ) and "exact numbers are not known" in view.inner_text(".reading")


def test_labels_are_never_markup(browser_page: Open) -> None:
    for hash in ("", "screen=head&query=0", "screen=compare"):
        view = browser_page(page(traces.hostile()), hash)
        assert view.evaluate("window.hacked") is None
        assert view.locator("img, #app script").count() == 0
    assert "<img src=x onerror=window.hacked=1>" in view.inner_text("footer")
    view.evaluate("location.hash = 'screen=head&query=0'")
    view.wait_for_selector(".tokens")
    assert view.locator(".tokens.query .token").first.inner_text().startswith("</script><script>window")


def test_weights_that_are_no_numbers_are_drawn_as_nothing(browser_page: Open) -> None:
    trace = traces.encoder(["a", "b", "c"])
    trace.arrays["self.0.weights"][0, 1] = np.nan
    view = browser_page(page(trace), "screen=head&head=0&query=1")
    assert close(colour(view, 1, 1), cividis(0)) and close(colour(view, 0, 0), cividis(1))


def test_a_damaged_page_says_so(browser_page: Open, html: str) -> None:
    cut = html[: html.index('data-array="encoder.0.weights"') + 200]
    for broken, sentence in (
        (html.replace("allyouneed-trace", "something-else", 1), "data is damaged"),
        (re.sub(r'(data-array="encoder\.0\.weights"[^>]*>)[^<]{8}', r"\1", html), "is cut short"),
        (
            re.sub(
                r'<script type="application/json" id="manifest">', '<script type="application/json" id="lost">', html
            ),
            "holds no trace",
        ),
    ):
        view = browser_page(broken, "screen=head&relation=encoder")
        assert sentence in view.inner_text("#app")
    assert "<script id=" not in cut and "was cut short" in cut, (
        "a page cut in the middle shows the sentence of its beginning"
    )


def test_unknown_parts_are_listed(browser_page: Open, html: str) -> None:
    view = browser_page(html.replace('"title":"demo"', '"title":"demo","dreams":[1]', 1))
    assert "does not know these parts of the trace: dreams" in view.inner_text("footer")
    assert view.locator(".map").count() == 24


def test_a_trace_that_does_not_fit_its_model_warns(browser_page: Open) -> None:
    trace = traces.translator()
    trace.manifest.relations["cross"].layers[0].error = 0.2
    view = browser_page(page(trace))
    assert "differs by 2e-01" in view.inner_text(".chip.bad") and "Warning" in view.inner_text("footer")


def test_an_empty_trace_opens(browser_page: Open) -> None:
    view = browser_page(page(Trace(Manifest(model=ModelCard(name="x")), {})))
    assert "nothing to look at" in view.inner_text("#screen")


def test_it_works_in_a_notebooks_frame(browser_page: Open, html: str) -> None:
    """Where there is no address to write to, the state lives in the page."""
    outside = f'<!DOCTYPE html><html data-ready="0"><iframe width="900" height="700" srcdoc="{escape(html)}"></iframe>'
    frame = browser_page(outside).frames[1]
    frame.click("#tab-head")
    frame.click("#head-1")
    assert "head 2" in frame.inner_text(".where")
    frame.click(".tokens.query .token >> nth=2")
    assert frame.inner_text(".bars li:first-child .bar-value") == "1.0000"

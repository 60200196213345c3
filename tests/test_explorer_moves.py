"""Moving about in the explorer: pointer, keyboard, address, two heads, and what can be taken away."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import traces
from browser import Open
from matrix_probe import at_cell, cividis, close, colour, state

from allyouneed.tracing.explorer import page


@pytest.fixture(scope="module")
def html() -> str:
    return page(traces.translator())


def test_hover_lights_a_row_everywhere_and_a_click_holds_it(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=head&relation=encoder&head=1")
    everything = view.locator(".lines path").count()
    assert everything == 6
    view.mouse.move(*at_cell(view, 4, 3))
    assert view.inner_text(".tip") == "“·.” → “·läuft” = 1.0000"
    assert [path.get_attribute("data-cell") for path in view.locator(".lines path").all()] == ["4,3"]
    assert view.locator(".tokens.query .strong").inner_text() == "·."
    assert (
        view.locator(".tokens.key .token").nth(3).evaluate("chip => chip.style.getPropertyValue('--share')") == "1.000"
    )
    view.mouse.move(5, 5)
    assert view.locator(".lines path").count() == everything, "letting go shows all again"
    view.mouse.click(*at_cell(view, 4, 3))
    view.mouse.move(5, 5)
    assert state(view)["query"] == "4" and state(view)["key"] == "3"
    assert view.locator(".lines path").count() == 1
    view.shot("locked")
    view.keyboard.press("Escape")
    assert "query" not in state(view) and view.locator(".lines path").count() == everything


def test_a_token_of_the_lines_is_a_row_or_a_column(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=head&relation=encoder&head=2")
    box = view.locator(".lines-picture").bounding_box()
    view.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 26 + 11)
    assert view.locator(".lines path").count() == 6, "all six look at the first"
    assert "Who looks at" in view.inner_text(".reading")
    view.click(".tokens.query .token >> nth=2")
    assert state(view)["query"] == "2" and "“·Hund” looks at" in view.inner_text(".reading")
    assert view.inner_text(".bars li:first-child .bar-value") == "0.9000"
    assert view.locator("#strip").is_visible()


def test_the_slider_keeps_the_strongest_lines(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=head&relation=encoder&head=3&mass=0.5")
    assert view.locator(".lines path").count() == 6 * 3
    view.evaluate(
        "document.getElementById('mass').value = 1; document.getElementById('mass').dispatchEvent(new Event('change'))"
    )
    assert view.locator(".lines path").count() == 36


def test_the_address_is_the_state_and_back_goes_back(browser_page: Open, html: str) -> None:
    view = browser_page(html)
    view.click("#tab-head")
    view.click("#relation-2")
    view.click("#head-2")
    assert view.inner_text(".where").startswith("cross-attention · layer 1 · head 3")
    view.go_back()
    assert view.inner_text(".where").startswith("cross-attention · layer 1 · head 1")
    view.go_back()
    view.go_back()
    assert view.locator("#screen").get_attribute("data-screen") == "overview"
    view.evaluate("location.hash = 'screen=head&relation=nothing&layer=99&head=77&query=500'")
    view.wait_for_selector("#screen[data-screen=head]")
    assert "layer 2 · head 1" in view.inner_text(".where"), "an old link never breaks a page"


def test_the_keyboard_reaches_everything(browser_page: Open, html: str) -> None:
    view = browser_page(html)
    view.focus("#tab-overview")
    view.keyboard.press("ArrowRight")
    assert view.evaluate("document.activeElement.id") == "tab-head" and state(view)["screen"] == "head"
    view.focus("#matrix")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        view.keyboard.press(key)
    assert view.inner_text("#spoken") == "“·kleiner” → “·kleiner” = 1.0000"
    view.keyboard.press("Enter")
    assert state(view)["query"] == "1" and view.evaluate("document.activeElement.id") == "matrix"
    view.keyboard.press("PageDown")
    assert state(view)["head"] == "1" and view.inner_text("#spoken") == "Head 2"
    view.keyboard.press("Shift+PageDown")
    assert state(view)["layer"] == "1"
    view.keyboard.press("t")
    view.wait_for_selector("details.twin[open] tbody tr")
    assert view.locator("details.twin[open] tbody tr").count() == 1
    view.keyboard.press("?")
    assert view.locator("dialog[open] kbd").count() > 5
    view.keyboard.press("Escape")
    view.wait_for_selector("dialog", state="detached")
    view.focus("#tab-head")
    view.keyboard.press("Home")
    view.focus("#map-encoder-0-0")
    view.keyboard.press("ArrowRight")
    assert view.evaluate("document.activeElement.id") == "map-encoder-0-1"
    view.keyboard.press("ArrowDown")
    assert view.evaluate("document.activeElement.id") == "map-encoder-1-1"


def test_two_heads_side_by_side(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=compare&relation=encoder&head=0&head2=1")
    assert close(colour(view, 2, 2), cividis(1)) and close(colour(view, 2, 1, "matrix-b"), cividis(1))
    more, less, none = (colour(view, *cell, "matrix-d") for cell in ((2, 2), (2, 1), (2, 5)))
    assert more[0] > more[2] + 60 and less[2] > less[0] + 60 and min(none) > 240, "orange, blue, white"
    view.mouse.move(*at_cell(view, 2, 1, "matrix-b"))
    assert [tip.inner_text() for tip in view.locator(".tip").all() if tip.is_visible()] == [
        "“·Hund” → “·kleiner” = 1.0000"
    ]
    assert [text.split("\n")[-1] for text in view.locator(".reading.plain").all_inner_texts()] == ["1.0000", "1.0000"]


def test_two_models_side_by_side(browser_page: Open) -> None:
    other = traces.translator(target=[*traces.ENGLISH, "!"])
    other.manifest.model.run = "second"
    view = browser_page(page(traces.translator(), None, other), "screen=compare&relation=cross&head=2")
    assert "B · transformer · second" in view.inner_text("#screen")
    assert "No difference: A is 6 × 6 and B is 7 × 6." in view.inner_text("#screen")
    assert close(colour(view, 6, 0, "matrix-b"), cividis(0.9))


def downloaded(view: Any, button: str) -> bytes:
    with view.expect_download() as waiting:
        view.click(button)
    return bytes(Path(waiting.value.path()).read_bytes())


def test_what_is_seen_can_be_taken_away(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=head&relation=cross&head=0&theme=dark")
    view.click("#tool-export")
    weights = traces.translator().weights("cross")[0]
    lines, matrix = (downloaded(view, f"#export-svg-{i}").decode() for i in range(2))
    assert "<path" in lines and "var(" not in lines and "kleiner" in lines
    fills = dict(re.findall(r'data-cell="([\d,]+)" fill="rgb\(([\d,]+)\)"', matrix))
    assert len(fills) == 36
    for cell in ("0,0", "2,3", "5,5"):
        i, j = map(int, cell.split(","))
        assert close(tuple(map(int, fills[cell].split(","))), cividis(float(weights[i, j])))
    assert downloaded(view, "#export-png-1").startswith(b"\x89PNG")
    rows = downloaded(view, "#export-csv").decode("utf-8-sig").splitlines()
    assert len(rows) == 37 and float(rows[1 + 2 * 6 + 3].split(",")[-1]) == pytest.approx(float(weights[2, 3]))


@pytest.mark.parametrize(
    "hash", ["screen=head&head=2&query=1", "screen=head&head=mean", "screen=head&head=max", "screen=compare", ""]
)
def test_the_line_of_python_runs(
    browser_page: Open, html: str, hash: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    view = browser_page(html, f"{hash}&relation=cross")
    view.keyboard.press("e")
    line = view.inner_text("dialog pre >> nth=0")
    trace = traces.translator()
    exec(line, {"trace": trace})
    assert 'relation="cross"' in line or 'weights("cross"' in line
    assert "max" in line or list(tmp_path.glob("*.svg"))


def test_a_saved_page_is_the_page(browser_page: Open, html: str) -> None:
    view = browser_page(html)
    view.click("#tool-export")
    saved = downloaded(view, "#export-page").decode()
    again = browser_page(saved, "screen=head&relation=encoder&head=1")
    assert close(colour(again, 3, 2), cividis(1))
    manifests = [re.search(r'id="manifest">(.*?)</script>', text)[1] for text in (html, saved)]  # type: ignore[index]
    assert json.loads(manifests[0]) == json.loads(manifests[1])


def test_the_overview_is_one_picture(browser_page: Open, html: str) -> None:
    view = browser_page(html)
    view.click("#tool-export")
    drawing = downloaded(view, "#export-svg-0").decode()
    assert drawing.count("<image") == 24 and "encoder self-attention" in drawing and "previous 1.00" in drawing

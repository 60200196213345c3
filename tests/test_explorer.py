"""The explorer's shell in a real browser, over traces whose pictures are known: the right cell has the right colour."""

import base64
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import traces
from browser import Open
from matrix_probe import at_cell, cividis, close, colour, state

from allyouneed.tracing import explorer
from allyouneed.tracing.explorer import page, policy


@pytest.fixture(scope="module")
def html() -> str:
    return page(traces.translator())


def test_the_policy_names_the_script_and_nothing_else(html: str) -> None:
    script = html.rpartition('<script id="code">')[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    given = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert given and f"script-src 'sha256-{digest}'" in given[1] and "connect-src" not in given[1]
    assert "connect-src 'self'" in policy("", live=True)
    assert not re.search(r'(src|href)\s*=\s*"https?:', html)


def test_every_text_of_the_shell_is_translated() -> None:
    words = explorer.words()
    texts = {name: path.read_text(encoding="utf-8") for name, path in ((p.name, p) for p in explorer.WEB.glob("*.js"))}
    calls = re.compile(r'\bt\((?:[^()"]*\? )?"((?:[^"\\]|\\.)*)"(?: : "((?:[^"\\]|\\.)*)")?')
    keys = {key for text in texts.values() for found in calls.findall(text) for key in found if key}
    assert len(keys) > 40 and not sorted(keys - set(words))
    for key, chinese in words.items():
        assert set(re.findall(r"\{\w+\}", key)) == set(re.findall(r"\{\w+\}", chinese)), key


def test_the_scripts_are_short_and_put_no_markup_into_the_page() -> None:
    files = sorted(explorer.WEB.rglob("*.js"))
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 300, path.name
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), path.name


def test_a_bundle_refuses_what_it_cannot_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "WEB", tmp_path)
    (tmp_path / "app.js").write_text('import { one } from "./b.js";\none();\n')
    (tmp_path / "b.js").write_text("export function two() {}\n")
    with pytest.raises(ValueError, match="imports one from"):
        explorer.bundle()
    (tmp_path / "b.js").write_text('import { start } from "./app.js";\nexport function one() {}\n')
    with pytest.raises(ValueError, match="imports itself"):
        explorer.bundle()


@pytest.mark.parametrize(("head", "bright"), [(0, (3, 3)), (1, (3, 2)), (2, (3, 0))])
def test_the_bright_cell_is_where_the_head_looks(
    browser_page: Open, html: str, head: int, bright: tuple[int, int]
) -> None:
    """Rows are queries: previous-token looks left of the diagonal. Swapped axes would fail."""
    view = browser_page(html, f"screen=head&relation=encoder&head={head}")
    assert close(colour(view, *bright), cividis(0.9 if head == 2 else 1))
    assert close(colour(view, 2, 5), cividis(0.02 if head == 2 else 0))


def test_scales_change_colours_and_the_legend(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=head&relation=encoder&head=3")
    assert close(colour(view, 0, 0), cividis(1 / 6))
    view.click("#scale-1")
    assert state(view)["scale"] == "row" and close(colour(view, 0, 0), cividis(1))
    view.click("#scale-2")
    assert "lift" in view.inner_text(".scale") and close(colour(view, 0, 0), cividis(1)), (
        "six allowed keys times a sixth"
    )


def test_masked_cells_are_striped_and_not_dark(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=head&relation=decoder&head=1")
    grey = colour(view, 0, 5)
    assert max(grey) - min(grey) < 24 and min(grey) > 130 and grey[2] > grey[0], (
        "no colour of the ramp: there, such greys are yellowish"
    )
    assert close(colour(view, 5, 3), cividis(0)), "zero is not masked"
    view.mouse.move(*at_cell(view, 0, 5))
    assert view.inner_text(".tip").endswith("masked")


def test_weights_are_made_from_queries_and_keys(browser_page: Open) -> None:
    trace = traces.large(16, layers=1, heads=2, k=8)
    view = browser_page(page(trace), "screen=head&head=1&query=3&key=5")
    expected = trace.weights("self", 0)[1, 3, 5]
    assert view.inner_text(".cell-value").endswith(f"= {expected:.4f}")
    assert close(colour(view, 3, 5), cividis(float(expected)))


def test_half_precision_is_read(browser_page: Open) -> None:
    trace = traces.translator()
    for name, array in trace.arrays.items():
        trace.arrays[name] = array.astype(np.float16)
    view = browser_page(page(trace), "screen=head&relation=cross&head=0&query=2&key=3")
    assert view.inner_text(".cell-value").endswith(f"= {float(trace.weights('cross')[0, 2, 3]):.4f}")


def test_mean_and_largest_are_named(browser_page: Open, html: str) -> None:
    view = browser_page(html, "screen=head&relation=encoder&head=mean&query=0&key=0")
    assert "mean of all heads" in view.inner_text(".where")
    assert view.inner_text(".cell-value").endswith(f"= {(1 + 1 + 0.9 + 1 / 6) / 4:.4f}")


def test_overview_maps_open_their_head(browser_page: Open, html: str) -> None:
    view = browser_page(html)
    assert view.locator(".map").count() == 3 * 2 * 4
    probe = """() => { const c = document.querySelector('#map-encoder-0-1 canvas'), s = c.width / 6;
      const at = ([i, j]) => [...c.getContext('2d').getImageData((j + .5) * s, (i + .5) * s, 1, 1).data].slice(0, 3);
      return [[3, 2], [2, 3]].map(at); }"""
    bright, dark = (tuple(pixel) for pixel in view.evaluate(probe))
    assert close(bright, cividis(1)) and close(dark, cividis(0))
    assert "previous 1.00" in view.inner_text("#map-encoder-0-1") and "spread" in view.inner_text("#map-encoder-0-3")
    view.shot("overview")
    view.select_option("#filter", "previous")
    assert view.locator(".map").count() == 2 + 2
    view.click("#map-encoder-1-1")
    assert state(view).items() >= {"screen": "head", "relation": "encoder", "layer": "1", "head": "1"}.items()

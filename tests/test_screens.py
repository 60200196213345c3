"""The beam tree and the picture screen in headless Chromium, over traces whose pictures are known beforehand."""

from typing import Any

import numpy as np
import pytest
from screen_pages import BRIGHTEST, DARKEST, Open, cell, go, near, show, table
from screen_traces import PREFIX, SOURCE, beam_trace, grid_trace, long_beam_trace, rollout_by_hand


def lit(page: Any) -> set[int]:
    return set(page.evaluate("[...document.querySelectorAll('#s-tree .s-node.s-on')].map(n => Number(n.dataset.node))"))


def style(page: Any, selector: str, name: str) -> str:
    value: str = page.evaluate("([s, n]) => getComputedStyle(document.querySelector(s))[n]", [selector, name])
    return value


def pixels(value: str) -> float:
    return float(value.removesuffix("px"))


def test_the_beam_shows_best_pruned_and_finished(browser_page: Open) -> None:
    page = show(browser_page, beam_trace(), "screen=beam&node=7")
    assert page.locator("#s-tree .s-node").count() == 13
    assert page.evaluate(
        "[...document.querySelectorAll('#s-tree .s-node.s-best')].map(n => Number(n.dataset.node))"
    ) == [0, 4, 7, 10]
    assert int(style(page, "#s-node-4 text", "fontWeight")) >= 600 > int(style(page, "#s-node-3 text", "fontWeight"))
    best, plain = (pixels(style(page, f"#s-tree path[data-node='{i}']", "strokeWidth")) for i in (4, 11))
    assert best >= 2 * plain
    assert (
        style(page, "#s-node-9 .s-box", "strokeDasharray")
        != "none"
        == style(page, "#s-node-8 .s-box", "strokeDasharray")
    )
    assert style(page, "#s-tree path[data-node='9']", "strokeDasharray") != "none"
    assert page.locator("#s-node-10 .s-inner").count() == 1 and page.locator("#s-node-11 .s-inner").count() == 0
    # x is the step, y the rank: 7 ("sleeps") is first of step 3, 8 ("is") second
    boxes = {i: page.locator(f"#s-node-{i}").bounding_box() for i in (4, 7, 8)}
    assert (
        boxes[4]["x"] + 90 < boxes[7]["x"] and abs(boxes[7]["x"] - boxes[8]["x"]) < 3 and boxes[7]["y"] < boxes[8]["y"]
    )
    page.shot("beam")


def test_a_node_of_the_beam_lights_its_path_and_says_why_it_was_pruned(browser_page: Open) -> None:
    page = show(browser_page, beam_trace(), "screen=beam&node=7")
    page.hover("#s-node-9")
    assert lit(page) == {0, 3, 9}
    assert "A man sleeping" in page.inner_text("#spoken") and "pruned" in page.inner_text("#spoken")
    page.click("#s-node-9")
    assert "node=9" in page.url and page.get_attribute("[data-path]", "data-path") == "0 3 9"
    why = page.inner_text(".s-why")
    assert "−3.20" in why and "1.20 below" in why and "“is” (−2.00)" in why
    page.focus("#s-node-9")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")  # 3 is first of its step: stays
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert "node=4" in page.url and page.evaluate("document.activeElement.id") == "s-node-4"
    rows = page.locator(".s-table tbody tr").all_inner_texts()
    assert [row.split("\t")[1] for row in rows] == ["man", "guy", "man", "person"]


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (1, 1), (1, 2)])
def test_the_beam_shows_what_was_read_at_the_node(browser_page: Open, layer: int, head: int) -> None:
    page = show(browser_page, beam_trace(), f"screen=beam&node=7&clayer={layer}&chead={head}")
    strongest = (4 + layer + head) % 5
    assert page.locator(".s-bars .s-name").first.inner_text() == SOURCE[strongest]
    assert style(page, f".s-chip[data-item='{strongest}']", "backgroundColor") == "rgb({}, {}, {})".format(*BRIGHTEST)
    assert "60 %" in page.locator(".s-bars .s-row").first.inner_text()


def test_words_of_a_search_are_text_and_never_markup(browser_page: Open) -> None:
    trace = beam_trace()
    assert trace.manifest.beam is not None
    harm = "<img src=x onerror=window.hacked=1>"
    trace.manifest.beam.nodes[3].text = harm
    trace.manifest.spaces["source"].items[0] = "</script><script>window.hacked=1</script>"
    page = show(browser_page, trace, "screen=beam&node=3")
    assert harm in page.inner_text("[data-path]") and "</script>" in page.inner_text(".s-chips")
    assert page.evaluate("window.hacked") is None and page.locator("#screen img").count() == 0


def test_a_long_search_is_folded(browser_page: Open) -> None:
    page = show(browser_page, long_beam_trace(), "screen=beam&node=0")
    assert 200 < page.locator("#s-tree .s-node").count() <= 600
    assert "later steps" in page.inner_text(".s-folds")
    page.click("button[id='s-Step▶']")
    page.evaluate("document.getElementById('s-Step').value = 120")
    page.dispatch_event("#s-Step", "change")
    assert "earlier steps" in page.inner_text(".s-folds") and "later" not in page.inner_text(".s-folds")
    assert page.locator("#s-tree .s-node[aria-selected=true]").get_attribute("aria-level") == "120"


@pytest.mark.parametrize("with_picture", [True, False])
def test_the_right_patch_lights_up(browser_page: Open, with_picture: bool) -> None:
    page = show(browser_page, grid_trace(with_picture), "screen=image&opacity=100&layer=0&head=0&query=5")
    for query in (5, 9, 0):  # item i looks at i + 3; cells come after two prefix items
        go(page, f"screen=image&opacity=100&layer=0&head=0&query={query}")
        bright = query + 3 - PREFIX
        assert near(cell(page, bright), BRIGHTEST), (query, cell(page, bright))
        others = [cell(page, i) for i in range(15) if i not in (bright, query - PREFIX)]
        assert all(near(colour, DARKEST, 18) for colour in others), others
    page.click("#s-prefix-1")
    assert near(cell(page, 1 + 3 - PREFIX), BRIGHTEST)
    box = page.locator("#s-grid").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 3.5 / 5, box["y"] + box["height"] * 1.5 / 3)  # row 2, column 4: item 10
    assert "query=10" in page.url and "0.512" in page.inner_text("#screen .s-sentence")
    assert near(cell(page, 11), BRIGHTEST)
    page.focus("#s-grid")
    page.keyboard.press("ArrowUp")
    assert "query=5" in page.url and page.evaluate("document.activeElement.id") == "s-grid"


def test_who_looks_here_is_the_column(browser_page: Open) -> None:
    page = show(browser_page, grid_trace(), "screen=image&opacity=100&layer=1&head=1&query=9&way=in")
    assert near(cell(page, 9 - 5 - PREFIX), BRIGHTEST)  # i + 3 + 1 + 1 = 9
    assert float(table(page)[4][1]) == pytest.approx(0.5 + 0.2 / 17, abs=1e-4)


def test_the_picture_shows_through_and_prefix_items_are_coloured(browser_page: Open) -> None:
    page = show(browser_page, grid_trace(), "screen=image&opacity=0&layer=0&head=0&query=5")
    top, bottom = cell(page, 0), cell(page, 10)
    assert top[0] > bottom[0] + 40  # the sky gets darker downwards
    assert page.locator(".s-prefix .s-chip").count() == PREFIX
    assert page.inner_text("[data-bars=classes] .s-row:first-child").split() == ["sun", "70", "%"]
    assert "4.0 %" in page.inner_text("[data-bars=classes] .s-rest")


@pytest.mark.parametrize("way", ["", "in"])
def test_rollout_is_the_product_of_the_layers(browser_page: Open, way: str) -> None:
    trace = grid_trace()
    whole = rollout_by_hand(trace)
    assert np.allclose(whole.sum(1), 1)
    page = show(browser_page, trace, f"screen=image&measure=rollout&layer=1&query=7&way={way}")
    seen = [float(row[1]) for row in table(page)]
    assert np.allclose(seen, whole[:, 7] if way else whole[7], atol=2e-5)


def test_pins_hold_up_to_four_places(browser_page: Open) -> None:
    page = show(browser_page, grid_trace(), "screen=image&query=3")
    for query in (3, 4, 5, 6):
        go(page, page.evaluate("location.hash").replace("#", "").replace(f"query={query - 1}", f"query={query}"))
        page.click("#s-pin")
    assert "pins=3.4.5.6" in page.url
    go(page, page.evaluate("location.hash").replace("#", "").replace("query=6", "query=9"))
    assert page.is_disabled("#s-pin")

"""Halting, buckets, signed weights, positions, shape flow, guesses; and what holds for all screens."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from screen_pages import BRIGHTEST, DARKEST, PIXEL, STRIPES, Open, cell, go, near, show, table
from screen_traces import (
    PREFIX,
    beam_trace,
    buckets_trace,
    flow_trace,
    grid_positions_trace,
    grid_trace,
    guesses_trace,
    halting_trace,
    positions_trace,
    signed_trace,
)  # fmt: skip

from allyouneed.tracing.explorer import WEB


def test_halted_cells_are_hatched(browser_page: Open) -> None:
    page = show(browser_page, halting_trace(), "screen=halting&item=1")
    rows = table(page)
    ran = [[cell != "halted" for cell in row[1:5]] for row in rows]
    assert ran == [[step < count for step in range(4)] for count in (1, 3, 4, 2, 1)]
    geometry = page.evaluate(
        "(() => { const c = document.getElementById('s-halting'); return [c.clientWidth, c.clientHeight]; })()"
    )
    width = (geometry[0] - 92) / 5
    for item in range(5):
        for step in range(4):
            at = [(92 + (item + 0.12) * width) / geometry[0], (74 + (step + 0.2) * 30) / geometry[1]]
            colour = tuple(page.evaluate(PIXEL, ["s-halting", *at]))
            assert any(near(colour, stripe) for stripe in STRIPES) != ran[item][step], (item, step, colour)
    assert "3 updates" in page.inner_text(".s-why") and "remainder 0.70" in page.inner_text(".s-why")
    page.focus("#s-halting")
    page.keyboard.press("ArrowRight")
    assert "item=2" in page.url and "4 updates" in page.inner_text("#spoken")
    page.click("button[data-layer='2']")
    assert "screen=head" in page.url and "layer=2" in page.url and "query=2" in page.url


def test_canvases_are_saved_as_vectors_in_light_colours(browser_page: Open) -> None:
    page = show(browser_page, halting_trace(), "screen=halting&item=1", dark=True)
    page.click("#tool-export")
    with page.expect_download() as arrived:
        page.click("#export-svg-0")
    text = Path(arrived.value.path()).read_text("utf-8")
    assert text.count('fill="url(#pen-stripes)"') == 4 * 5 - 11  # eleven steps were taken
    assert ">schläft<" in text and ">0.90<" in text and "#e8e6e0" not in text  # that ink is for dark paper
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_bucket_mates_and_chunks(browser_page: Open) -> None:
    page = show(browser_page, buckets_trace(), "screen=buckets&item=5")
    words = [row[1] for row in table(page)]
    said = page.inner_text("#screen .s-sentence")
    assert f"bucket 1 with: {', '.join(words[1:24:2])}." in said
    # sorted by parity, the odd ones follow twelve even ones: 5 is at place 14, in the fourth chunk of four
    assert (
        "chunk is 4 of 6" in said and f"look at: {', '.join(words[i] for i in (16, 18, 20, 22, 1, 3, 5, 7))}." in said
    )
    go(page, "screen=buckets&item=5&round=1")
    assert f"bucket 0 with: {', '.join(words[:8])}." in page.inner_text("#screen .s-sentence")
    page.focus("#s-buckets")
    page.keyboard.press("ArrowRight")
    assert "item=6" in page.url


def test_wires_are_followed(browser_page: Open) -> None:
    page = show(browser_page, buckets_trace(), "screen=wiring&item=5")
    targets = np.stack([np.roll(np.arange(24), layer + 1) for layer in range(3)])
    at, path = 5, []
    for layer in targets:
        at = int(layer[at])
        path.append(at + 1)
    assert " → ".join(map(str, path)) in page.inner_text("#screen .s-sentence")


def test_signed_weights_have_their_signs(browser_page: Open) -> None:
    page = show(browser_page, signed_trace(), "screen=signed&relation=lambda&query=7")
    more, less, none = cell(page, 8), cell(page, 6), cell(page, 0)
    assert more[0] > more[2] + 80 and less[2] > less[0] + 80 and min(none) > 235
    assert "does not sum to one" in page.inner_text("#screen") and page.locator(".s-badge").count() == 0
    go(page, "screen=signed&relation=mixing&query=2")
    assert page.inner_text(".s-badge") == "does not depend on the input"
    facts = page.inner_text("[data-facts=row]").split("\n")
    assert facts[facts.index("Sum of the row") + 1 :][0].strip() == "0.50"
    assert [row[1] for row in table(page)] == ["0.00000", "-0.50000", "0.00000", "1.00000", "0.00000"]


def test_the_claim_about_distance_is_made_only_when_true(browser_page: Open) -> None:
    page = show(browser_page, positions_trace(True), "screen=positions&dimension=4")
    assert page.get_attribute("[data-claim]", "data-claim") == "same"
    assert "depends only on their distance" in page.inner_text("[data-claim]")
    assert page.get_attribute("#s-waves", "data-partner") == "5"
    learned = show(browser_page, positions_trace(False), "screen=positions&dimension=4")
    assert learned.get_attribute("[data-claim]", "data-claim") == "different"
    assert "only on their distance" not in learned.inner_text("[data-claim]").replace("not only on", "")
    assert learned.get_attribute("#s-waves", "data-partner") == "-1"


def test_waves_are_found_in_the_layout_of_halves(browser_page: Open) -> None:
    trace = positions_trace(True)
    trace.arrays["codes"] = np.concatenate([trace.arrays["codes"][:, 0::2], trace.arrays["codes"][:, 1::2]], 1)
    page = show(browser_page, trace, "screen=positions&dimension=2")
    assert page.get_attribute("#s-waves", "data-partner") == "10"


def test_likeness_of_codes_over_a_grid(browser_page: Open) -> None:
    page = show(browser_page, grid_positions_trace(), f"screen=positions&item={PREFIX + 7}")  # row 2, column 3
    row, column, far = (cell(page, i) for i in (5, 2, 0))
    assert near(row, BRIGHTEST, 30) and near(column, BRIGHTEST, 30), (
        row,
        column,
    )  # a tenth of the picture shines through
    assert near(far, DARKEST, 30), far


def test_equal_layers_are_folded(browser_page: Open) -> None:
    page = show(browser_page, flow_trace(), "screen=flow")
    assert page.locator(".s-times").all_inner_texts() == ["× 6"]
    names = page.evaluate("[...document.querySelectorAll('.s-block')].map(b => b.dataset.name)")
    assert names == [
        "",
        "embedding",
        "encoder",
        "encoder.0s",
        "encoder.0s.layer",
        "encoder.1f",
        "encoder.1f.layer",
        "head",
    ]
    page.click(".s-times")
    assert page.locator(".s-block").count() == 4 + 24 and page.get_attribute(".s-times", "aria-expanded") == "true"
    assert len(table(page)) == 28
    page.click("button[data-name='encoder.8s']")
    assert "screen=head" in page.url and "relation=self" in page.url and "layer=4" in page.url


def test_layers_of_other_sizes_are_not_folded(browser_page: Open) -> None:
    trace = flow_trace()
    trace.manifest.flow[3 + 4 * 5].parameters = 241
    trace.manifest.flow[3 + 4 * 5].output = [1, 5, 9]
    page = show(browser_page, trace, "screen=flow")
    assert page.locator(".s-times").all_inner_texts() == ["× 5"]


def test_guesses_are_bars_with_the_rest(browser_page: Open) -> None:
    page = show(browser_page, guesses_trace(), "screen=guesses&item=2")
    names = page.locator("[data-bars=guess] .s-name").all_inner_texts()
    assert names == ["cat", "dog", "<b>man</b>", "the rest"]  # text, never markup
    assert page.locator("[data-bars=guess] .s-number").all_inner_texts() == ["50 %", "25 %", "5.0 %", "20 %"]
    page.click("#s-guess-1")
    assert "item=1" in page.url and page.locator("[data-bars=guess] .s-name").all_inner_texts() == [
        "the",
        "a",
        "the rest",
    ]
    assert page.inner_text("[data-bars=classes] .s-row").split()[:2] == ["good", "88"]


UNNAMED = """[...document.querySelectorAll('#screen canvas, #screen svg, #screen button, #screen input')]
  .filter(e => !e.getAttribute('aria-label') && !e.getAttribute('aria-hidden') 
  && !e.textContent && !e.closest('label')).map(e => e.outerHTML)"""
ALL = {
    "beam": beam_trace, "image": grid_trace, "guesses": guesses_trace, "halting": halting_trace, "buckets": buckets_trace,
    "wiring": buckets_trace, "signed": signed_trace, "positions": grid_positions_trace, "flow": flow_trace,
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_a_phone_holds_every_screen_in_chinese(browser_page: Open, name: str) -> None:
    page = show(browser_page, ALL[name](), f"screen={name}", width=360, dark=True, locale="zh-CN")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#screen .trouble").count() == 0 and page.get_attribute("#screen", "data-screen") == name
    assert re.search("[\u4e00-\u9fff]", page.inner_text("#screen"))
    unnamed = page.evaluate(UNNAMED)
    assert not unnamed
    page.shot(name)


def test_every_sentence_of_the_screens_has_its_chinese() -> None:
    known = {
        **json.loads((WEB / "zh.json").read_text("utf-8")),
        **json.loads((WEB / "screens/zh.json").read_text("utf-8")),
    }
    missing = set()
    for path in sorted((WEB / "screens").glob("*.js")):
        for key in re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', path.read_text("utf-8")):
            if key not in known:
                missing.add((path.name, key))
        for a, b in re.findall(r'\bt\([^()"]*\? "([^"]*)" : "([^"]*)"', path.read_text("utf-8")):
            missing |= {(path.name, key) for key in (a, b) if key not in known}
    assert not missing
    for english, chinese in known.items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese)), english

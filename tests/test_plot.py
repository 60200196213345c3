"""Pictures of attention say what the trace says: colours, numbers, masks; and no text becomes markup."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import screen_traces
import traces
from drawn import cells, code, dots, of_class, texts, tree

from allyouneed.tracing import labels, maps
from allyouneed.tracing.labels import MARK
from allyouneed.tracing.svg import SIGNED, colour
from allyouneed.tracing.view import ceiling

# ---- attention -------------------------------------------------------------------------------------------------------


def test_every_cell_has_its_colour_and_its_number() -> None:
    trace = traces.translator()
    root = tree(trace.plot("attention", relation="cross", layer=1, head=0))
    weights, found = trace.weights("cross", 1)[0], cells(root)
    assert len(found) == weights.size
    for i, query in enumerate(traces.ENGLISH):
        for j, key in enumerate(traces.GERMAN):
            mark = found[f"{query} → {key}: {weights[i, j]:.4f}"]
            assert mark.get("fill") == colour(float(weights[i, j]))
            cell = float(mark.get("width") or 0)
            assert (float(mark.get("x") or 0), float(mark.get("y") or 0)) == (j * cell, i * cell), "rows are queries"
    assert "Cross-attention, layer 2, head 1" in texts(root)


def test_axes_and_legend_are_named() -> None:
    said = texts(tree(traces.translator().plot("attention", relation="decoder", head=2)))
    assert {"looked at →", "← looks", "masked", "0", "1"} <= set(said)
    assert "transformer. Rows look, columns are looked at." in said


def test_masked_cells_are_hatched_and_others_are_not() -> None:
    root = tree(traces.translator().plot("attention", relation="decoder", head=3))
    masked = of_class(root, "masked")
    assert len(masked) == 15 and {mark.get("fill") for mark in masked} == {maps.MASKED}
    assert sum("may not look" in name for name in cells(root)) == 15
    assert [pattern.get("id") for pattern in root.iter("pattern")] == ["masked"]
    open_ = tree(traces.translator().plot("attention", relation="encoder"))
    assert not of_class(open_, "masked") and "masked" not in texts(open_)


def test_a_mean_says_that_it_is_one_and_the_scale_follows_the_data() -> None:
    trace = traces.translator()
    root = tree(trace.plot("attention", relation="encoder"))
    mean = trace.weights("encoder", 0).mean(0)
    assert "Encoder self-attention, layer 1, mean of 4 heads" in texts(root)
    assert f"Ein → Ein: {mean[0, 0]:.4f}" in cells(root)
    wide = traces.encoder(["x"] * 20)  # a uniform head: all weights are 0.05
    root = tree(wide.plot("attention", head=3))
    assert "0.05" in texts(root)
    assert {mark.get("fill") for mark in cells(root).values()} == {colour(1.0)}


def test_the_ends_of_scales_are_round() -> None:
    assert [ceiling(value) for value in (0.043, 0.05, 0.11, 0.9, 1.0, 3.0, 0.0)] == [
        0.05,
        0.05,
        0.2,
        1.0,
        1.0,
        5.0,
        1.0,
    ]


def test_signed_weights_have_a_scale_of_two_sides() -> None:
    trace = screen_traces.signed_trace()
    root = tree(trace.plot("attention"))
    fills = {mark.get("fill") for mark in cells(root).values()}
    weights = trace.weights(next(iter(trace.manifest.relations)), 0)
    mean, top = weights.mean(0), ceiling(float(np.abs(weights.mean(0)).max()))
    assert fills == {colour((float(value) / top + 1) / 2, SIGNED) for value in mean.flat}
    assert f"-{top:g}" in texts(root)


def test_one_token() -> None:
    for what in ("attention", "heads", "lines"):
        root = tree(traces.encoder(["x"]).plot(what, head=0))
        assert "x" in texts(root)


@pytest.mark.parametrize("kept", ["qk", "pooled"])
def test_large_maps_are_one_picture_of_the_right_dots(kept: str) -> None:
    trace = traces.large(512, layers=1, heads=2, kept=kept)
    root = tree(trace.plot("attention", head=0))
    seen = dots(root)
    bright = seen.astype(int).sum(-1)
    assert seen.shape[0] == (512 if kept == "qk" else 256)
    assert (np.diag(bright) > 500).all() and np.median(bright) < 200, "head 1 looks at its own place"
    assert ("no more was kept" in " ".join(texts(root))) == (kept == "pooled")


def test_very_long_maps_are_pooled_by_the_largest() -> None:
    values = np.zeros((3000, 2100))
    values[2999, 5], values[0, 2099] = 0.7, -0.9
    small = maps.pooled(values)
    assert small.shape == (1024, 1024) and small[1023, 2] == 0.7 and small[0, 1023] == -0.9


def test_masked_parts_of_large_maps_are_hatched() -> None:
    root = tree(traces.encoder([f"t{i}" for i in range(60)], causal=True).plot("attention", head=3))
    (path,) = of_class(root, "masked")
    assert path.get("fill") == maps.MASKED and (path.get("d") or "").count("M") == 59, "a run in each row but the last"


def test_all_heads_of_a_layer() -> None:
    trace = traces.translator()
    root = tree(trace.plot("heads", relation="decoder", layer=1))
    heads = of_class(root, "head")
    assert [next(said for said in texts(head) if said.startswith("head")) for head in heads] == [
        "head 1",
        "head 2",
        "head 3",
        "head 4",
    ]
    for head, weights in zip(heads, trace.weights("decoder", 1)):
        assert code(dots(head)[3, 1]) == colour(float(weights[3, 1]))


def test_thin_lines_of_long_texts_are_not_lost_in_small_maps() -> None:
    root = tree(traces.large(512, layers=1, heads=2).plot("heads"))
    first = dots(of_class(root, "head")[0]).astype(int).sum(-1)
    assert first.shape[0] <= 100 and (np.diag(first) > 500).all(), "head 1 looks at its own place"
    assert "the largest of" in " ".join(texts(root))


# ---- lines -----------------------------------------------------------------------------------------------------------


def test_lines_go_where_the_weights_are() -> None:
    trace = traces.translator()
    root = tree(trace.plot("lines", relation="cross", head=0))
    weights = trace.weights("cross", 0)[0]
    assert len(cells(root)) == int((weights >= 0.02).sum())
    line = cells(root)[f"3 → 3: {weights[2, 2]:.4f}"]
    assert line.get("y1") == line.get("y2") and line.get("stroke-opacity") == f"{weights[2, 2]:.3f}"
    leaning = cells(root)[f"3 → 2: {weights[2, 1]:.4f}"]
    assert float(leaning.get("y2") or 0) < float(leaning.get("y1") or 0), "the key is one higher"


def test_one_query_shows_its_shares_and_what_is_left_out_is_said() -> None:
    trace = traces.translator()
    root = tree(trace.plot("lines", relation="cross", head=2, query=1))
    assert all(name.startswith("2 →") for name in cells(root)) and len(cells(root)) == 6
    assert "90%" in texts(root) and texts(root).count("2%") == 5
    wide = traces.encoder(["x"] * 90)
    wide.arrays["self.0.weights"][0] = 0.004
    wide.arrays["self.0.weights"][0][:, 0] = 0.644
    assert "36% of the weight" in " ".join(texts(tree(wide.plot("lines", head=0))))


# ---- text of users ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["attention", "heads", "lines"])
def test_hostile_tokens_stay_text(what: str) -> None:
    trace = traces.hostile()
    trace.manifest.relations["self"].title = "</svg><script>window.hacked=1</script>"
    root = tree(trace.plot(what, head=1))
    assert {element.tag for element in root.iter()} <= {
        "svg", "g", "rect", "text", "tspan", "title", "defs", "pattern", "path", "line", "image",
    }  # fmt: skip
    assert not any(name.lower().startswith("on") for element in root.iter() for name in element.attrib)
    assert "</script><s…" in texts(root) or what != "attention"
    assert any(said.startswith("</svg><script>") for said in texts(root))


def test_hebrew_and_arabic_run_from_right_to_left_with_their_marks() -> None:
    assert labels.leftward("▁שלום") and labels.leftward("مرحبا.") and not labels.leftward("▁Hund שלום")
    drawn = ET.fromstring(labels.label("▁שלום"))
    assert "".join(drawn.itertext()) == f"{MARK}▁שלום{MARK}"
    assert "".join(ET.fromstring(labels.label("▁Hund")).itertext()) == "▁Hund"


def test_labels_are_as_wide_as_their_script() -> None:
    assert labels.width(["模型模型"]) == 44 and labels.width(["abcd"]) < 30
    assert labels.width(["x" * 400]) == labels.width(["x" * 13]) < 100
    assert labels.shown(" a\n\u2028") == "·a⏎⏎" and labels.shown("") == "∅"

"""Pictures of searches, steps, images and positions say what the trace says."""

import re

import numpy as np
import pytest
import screen_traces
import torch
import traces
from drawn import cells, code, dots, of_class, texts, tree

from allyouneed.errors import UserError
from allyouneed.nn.positions import sinusoids
from allyouneed.tracing import maps, plot
from allyouneed.tracing.manifest import Array, Halting, Manifest, ModelCard, Positions
from allyouneed.tracing.rollout import rollout
from allyouneed.tracing.svg import CIVIDIS, colour
from allyouneed.tracing.trace import Trace

# ---- others ----------------------------------------------------------------------------------------------------------


def test_the_beam_marks_the_way_taken_and_what_was_given_up() -> None:
    trace = screen_traces.beam_trace()
    beam = trace.manifest.beam
    assert beam is not None
    root = tree(trace.plot("beam"))
    boxes = of_class(root, "node")
    assert len(boxes) == len(beam.nodes)
    assert len(of_class(root, "pruned")) == sum(node.state == "pruned" for node in beam.nodes)
    assert len(of_class(root, "best")) == len(beam.best) - 1
    for node in beam.nodes:
        assert any(name.startswith(f"{node.text}: log probability {node.log_probability:.3f}") for name in cells(root))
        assert f"{node.score:.2f}" in texts(root)


def test_a_long_beam_is_broken_into_lines_and_says_what_it_leaves_out() -> None:
    trace = screen_traces.long_beam_trace(steps=20, width=6)
    beam = trace.manifest.beam
    assert beam is not None
    root = tree(trace.plot("beam"))
    assert {f"step {i}" for i in range(1, 21)} <= set(texts(root))
    assert len(of_class(root, "best")) == len(beam.best) - 1
    drawn = len({box.findtext("title") for box in of_class(root, "node")})
    told = [int(number) for said in texts(root) for number in re.findall(r"(\d+) more", said)]
    assert drawn <= len(beam.nodes) - sum(told)


def test_halting_fills_up_to_the_step_of_halting() -> None:
    sure = np.array([[0.25, 0.99], [0.8, 0.0], [0.0, 0.0]], np.float32)
    arrays = {"p": sure, "u": np.array([2, 1], np.float32), "r": np.array([0.75, 0.99], np.float32)}
    told = Halting(title="encoder", space="source", probabilities=Array("p"), updates=Array("u"), remainders=Array("r"))
    spaces = {"source": traces.sequence(["Ein", "Hund"])}
    root = tree(Trace(Manifest(model=ModelCard(name="u"), halting=[told], spaces=spaces), arrays).plot("halting"))
    found = cells(root)
    assert found["Ein, step 2: 0.8000"].get("fill") == colour(float(np.float32(0.8)))
    assert {name for name, mark in found.items() if mark.get("fill") == maps.MASKED} == {
        "Ein, step 3: halted before", "Hund, step 2: halted before", "Hund, step 3: halted before",
    }  # fmt: skip
    high = {bar.findtext("title"): float(bar.get("height") or 0) for bar in of_class(root, "bar")}
    assert high["Ein: 2 steps, remainder 0.7500"] == 2 * high["Hund: 1 steps, remainder 0.9900"]


@pytest.mark.parametrize("query", [None, 20])
def test_an_image_is_marked_where_it_looks(query: int | None) -> None:
    trace = traces.grid(6, 8, heads=2)
    root = tree(trace.plot("image", head=0, query=query))
    (heat,) = of_class(root, "heat")
    found = cells(heat)
    assert len(found) == 48
    place = 20 if query else None
    bright = [name for name, mark in found.items() if mark.get("fill") == CIVIDIS[-1]]
    assert bright == ([f"{(place - 1) // 8 + 1},{(place - 1) % 8 + 1}: 1.0000"] if place else [])
    marks = of_class(root, "query")
    assert len(marks) == (3 if query else 0)
    assert any("At [CLS]" in said for said in texts(root))


def test_rollout_is_a_product_of_layers() -> None:
    """By a loop over all ways through the layers, written out."""
    draw = np.random.default_rng(0)
    layers = [draw.dirichlet(np.ones(4), (3, 4)) for _ in range(3)]
    layers[1][:, 2] = 0  # a row that may see nothing keeps what it had
    reached = rollout(layers)
    naive = [[float(i == j) for j in range(4)] for i in range(4)]
    for layer, whole in zip(layers, reached):
        passed = []
        for i in range(4):
            row = [sum(float(layer[h][i][j]) for h in range(3)) / 3 * 0.5 + 0.5 * (i == j) for j in range(4)]
            passed.append([value / sum(row) for value in row])
        naive = [[sum(passed[i][k] * naive[k][j] for k in range(4)) for j in range(4)] for i in range(4)]
        np.testing.assert_allclose(whole, naive, atol=1e-12)
        np.testing.assert_allclose(whole.sum(-1), 1)
    assert rollout([]) == []


def test_the_picture_of_a_rollout_has_its_numbers() -> None:
    trace = traces.grid(2, 3, heads=2)
    root = tree(trace.plot("rollout"))
    (reached,) = rollout([trace.weights("self", 0)])
    (heat,) = of_class(root, "heat")
    assert set(cells(heat)) == {f"{i // 3 + 1},{i % 3 + 1}: {reached[0, i + 1]:.4f}" for i in range(6)}


def test_positions_say_whether_distance_is_all() -> None:
    def of(codes: torch.Tensor, fixed: bool) -> str:
        told = Positions(title="positions", space="source", codes=Array("c"), sinusoidal=fixed)
        manifest = Manifest(model=ModelCard(name="m"), positions=[told])
        return " ".join(texts(tree(Trace(manifest, {"c": codes.numpy()}).plot("positions"))))

    assert "distance alone" in of(sinusoids(64, 32), True)
    assert "where they are" in of(torch.randn(64, 32), False)


def test_codes_of_an_image_are_compared_place_by_place() -> None:
    """A code that is the row alone: each place is like its row, and unlike the other."""
    trace = traces.grid(2, 3)
    codes = np.array([[0, 0], *[[1, 0]] * 3, *[[-1, 0]] * 3], np.float32)
    trace.arrays["c"] = codes
    trace.manifest.positions = [Positions(title="learned positions", space="patches", codes=Array("c"))]
    tiles = of_class(tree(trace.plot("positions")), "likeness")
    assert len(tiles) == 6
    seen = dots(tiles[4])
    assert [code(seen[y, x]) for y, x in np.ndindex(2, 3)] == [CIVIDIS[0]] * 3 + [CIVIDIS[-1]] * 3


def test_curves_are_drawn_of_metrics() -> None:
    metrics = [{"kind": "train", "step": i, "loss": 3.0 / i, "nll": 2.0 / i} for i in range(1, 5)]
    assert "Learning curves" in texts(tree(plot.curves(metrics)))
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        plot.curves([])

"""Traces: heads whose maps are known beforehand, what is kept of long texts, and files that are not what they say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.nn.attention import Attend, CausalAttend, SelfAttention
from allyouneed.nn.layer import Context
from allyouneed.tracing.collect import collect
from allyouneed.tracing.encoding import OVERVIEW, POOLED
from allyouneed.tracing.manifest import Manifest, ModelCard, Relation, Space
from allyouneed.tracing.record import Recording, record
from allyouneed.tracing.trace import Trace


def looked(q: Tensor, k: Tensor, attend: Attend | None = None, mask: Tensor | None = None) -> Recording:
    """One attention, recorded."""
    attend = attend or Attend()
    with record(attend) as seen:
        attend(q, k, torch.randn_like(k), mask)
    return seen


def only(trace: Trace) -> Relation:
    (relation,) = trace.manifest.relations.values()
    return relation


# ---- heads with known answers


def codes(n: int) -> Tensor:  # 1 1 n n: each place has a direction of its own, long enough that a softmax is a choice
    return 40.0 * torch.eye(n)[None, None]


def test_a_head_that_looks_at_the_token_before() -> None:
    q = codes(6).roll(-1, dims=-1)  # place i asks for place i - 1, and the first for the last
    trace = looked(q, codes(6)).trace()
    expected = np.zeros((6, 6))
    for i in range(6):
        expected[i, i - 1] = 1
    np.testing.assert_allclose(trace.weights("self")[0], expected, atol=1e-6)
    layer = only(trace).layers[0]
    assert layer.entropy == [pytest.approx(0, abs=1e-4)]
    assert layer.distance == [pytest.approx((5 * 1 + 5) / 6, abs=1e-4)]  # five look one back, one looks five ahead


def test_a_head_that_looks_at_the_first_token() -> None:
    first = codes(6)[:, :, :1].expand(1, 1, 6, 6)
    trace = looked(first, codes(6)).trace()
    assert np.allclose(trace.weights("self")[0, :, 0], 1) and np.allclose(trace.weights("self")[0, :, 1:], 0)
    assert only(trace).layers[0].distance == [pytest.approx(15 / 6, abs=1e-4)]


def test_a_head_that_looks_everywhere_alike() -> None:
    trace = looked(torch.zeros(1, 1, 4, 8), torch.randn(1, 1, 8, 8)).trace()
    np.testing.assert_allclose(trace.weights("cross")[0], np.full((4, 8), 1 / 8), atol=1e-7)
    assert only(trace).layers[0].entropy == [pytest.approx(3, abs=1e-4)]  # bits


def test_a_causal_head_is_known_as_one() -> None:
    trace = looked(torch.zeros(1, 1, 5, 4), torch.randn(1, 1, 5, 4), CausalAttend()).trace()
    layer = only(trace).layers[0]
    assert layer.causal and layer.visible is None
    for i in range(5):
        for j in range(5):
            assert trace.weights("self")[0, i, j] == pytest.approx(1 / (i + 1) if j <= i else 0)
            assert trace.visible(layer)[0, i, j] == (j <= i)


def test_rows_that_see_nothing_are_zero_and_their_cells_masked() -> None:
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    mask[..., 2, :] = False
    trace = looked(torch.randn(1, 2, 4, 3), torch.randn(1, 2, 4, 3), mask=mask).trace()
    assert not trace.weights("self")[:, 2].any() and not trace.visible(only(trace).layers[0])[0, 2].any()
    assert np.isfinite(trace.weights("self")).all() and only(trace).layers[0].error < 1e-6


@pytest.mark.parametrize("n, m, heads", [(1, 1, 1), (1, 5, 3), (5, 1, 2), (3, 200, 96)])
def test_any_shape(n: int, m: int, heads: int) -> None:
    trace = looked(torch.randn(1, heads, n, 4), torch.randn(1, heads, m, 4)).trace()
    (relation,) = trace.manifest.relations
    assert trace.weights(relation).shape == (heads, n, m) and only(trace).layers[0].error < 1e-5
    np.testing.assert_allclose(trace.weights(relation).sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("n", [6, 40])  # kept as weights, and as q and k
def test_bfloat16(n: int) -> None:
    q = torch.randn(1, 2, n, 4, dtype=torch.bfloat16)
    trace = looked(q, q.flip(1)).trace()
    layer = only(trace).layers[0]
    expected = (q.float() @ q.flip(1).float().mT / 2).softmax(-1)[0]
    assert (layer.q is not None) == (n == 40) and layer.error < 0.05 and not trace.manifest.notes
    np.testing.assert_allclose(trace.weights("self"), expected, atol=0.02)


# ---- what is kept


def test_a_long_text_is_kept_as_q_and_k_and_gives_the_same_weights() -> None:
    q, k = torch.randn(1, 2, 100, 4), torch.randn(1, 2, 100, 4)
    seen = looked(q, k, CausalAttend())
    trace, layer = seen.trace(), only(seen.trace()).layers[0]
    assert layer.weights is None and layer.scale == pytest.approx(0.5) and layer.causal
    np.testing.assert_allclose(trace.weights("self"), seen.maps()[""][0], atol=1e-6)
    assert sum(a.nbytes for a in trace.arrays.values()) < 2 * 100 * 4 * 2 * 4 + 2 * OVERVIEW**2 + 1


def test_the_overview_holds_the_largest_of_each_block() -> None:
    seen = looked(torch.randn(1, 2, 100, 4), torch.randn(1, 2, 70, 4))
    trace, layer = seen.trace(), only(seen.trace()).layers[0]
    weights, picture = trace.weights("cross"), trace.arrays[layer.overview]
    assert picture.shape == (2, OVERVIEW, OVERVIEW) and layer.overview_max == pytest.approx(weights.max())
    for head in range(2):
        for y in range(OVERVIEW):
            for x in range(OVERVIEW):
                block = weights[head, y * 100 // 48 : (y + 1) * 100 // 48, x * 70 // 48 : (x + 1) * 70 // 48]
                assert picture[head, y, x] == pytest.approx(255 * (block.max() / weights.max()) ** 0.5, abs=0.51)


def test_a_small_map_needs_no_overview() -> None:
    assert only(looked(torch.randn(1, 1, 48, 4), torch.randn(1, 1, 48, 4)).trace()).layers[0].overview is None


def test_beyond_the_budget_first_half_precision_then_pictures_and_it_says_so() -> None:
    layer = SelfAttention(8, 2)
    stack = nn.Sequential(*[Called(layer) for _ in range(3)]).eval()
    with record(stack) as seen, torch.no_grad():
        stack(torch.randn(1, 300, 8))
    whole = collect(seen)
    assert not whole.notes and whole.arrays["self.0.q"].dtype == np.float32
    half = collect(seen, budget=60_000)
    assert half.arrays["self.0.q"].dtype == np.float16 and "float16" in half.notes[0] and len(half.notes) == 1
    pictures = collect(seen, budget=0)
    assert all(one.pooled and not one.q and not one.weights for one in pictures.relations["self"].layers)
    assert pictures.arrays["self.0.pooled"].shape == (2, POOLED, POOLED) and "Of 3 of 3 layers" in pictures.notes[1]
    trace = Trace(
        Manifest(model=ModelCard(name="x"), spaces=pictures.spaces, relations=pictures.relations), pictures.arrays
    )
    with pytest.raises(UserError, match="only a pooled map was kept"):
        trace.weights("self", 0)


class Called(nn.Module):
    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, Context())


# ---- labels


def test_labels_and_numbers_in_their_place() -> None:
    seen = looked(torch.randn(1, 1, 2, 4), torch.randn(1, 1, 2, 4))
    assert seen.trace().manifest.spaces["tokens"].items == ["1", "2"]
    assert seen.trace(tokens=["a", "</script>"]).manifest.spaces["tokens"].items == ["a", "</script>"]
    with pytest.raises(UserError, match="labels of 'tokens' are 3, and the model was recorded with 2"):
        seen.trace(tokens=["a", "b", "c"])
    with pytest.raises(UserError, match="no item 1"):
        seen.trace(item=1)


def test_a_space_may_be_given_whole() -> None:
    seen = looked(torch.randn(1, 1, 5, 4), torch.randn(1, 1, 5, 4))
    grid = Space(kind="grid", rows=2, columns=2, prefix=1, items=["[CLS]"])
    trace = seen.trace(patches=grid)
    assert trace.manifest.spaces == {"patches": grid} and only(trace).queries == "patches"


def test_distances_on_a_grid_are_those_of_cells() -> None:
    q = codes(5)[:, :, [0, 4, 1, 1, 1]]  # the class token at itself, cell 1 at cell 4, the others at cell 1
    trace = looked(q, codes(5)).trace(patches=Space(kind="grid", rows=2, columns=2, prefix=1, items=["[CLS]"]))
    assert only(trace).layers[0].distance == [pytest.approx((0 + 2**0.5 + 1 + 1 + 2**0.5) / 5, abs=1e-4)]


# ---- the self-check


@pytest.mark.parametrize("n", [5, 60])
def test_the_check_catches_weights_that_are_not_the_models(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k = torch.randn(1, 2, n, 4), torch.randn(1, 2, n, 4)
    layer = only(looked(q, k).trace()).layers[0]
    assert layer.error < 1e-6 and layer.output_rows == min(n, 16)
    real = Attend.weights
    monkeypatch.setattr(Attend, "weights", lambda self, q, k, mask=None: real(self, q, k, mask).flip(-1))
    trace = looked(q, k).trace()
    assert only(trace).layers[0].error > 0.1 and "not what happened" in trace.manifest.notes[0]


def test_dropout_in_training_is_noticed() -> None:
    assert (
        "in training" in looked(torch.randn(1, 2, 9, 4), torch.randn(1, 2, 9, 4), Attend(0.5)).trace().manifest.notes[0]
    )


# ---- files


@pytest.fixture
def trace() -> Trace:
    return looked(torch.randn(1, 2, 60, 4), torch.randn(1, 2, 60, 4), CausalAttend()).trace(tokens=["漢"] * 60)


def test_a_file_is_read_as_it_was_written(trace: Trace, tmp_path: Path) -> None:
    again = Trace.load(trace.save(tmp_path / "x.trace"))
    assert again.manifest == trace.manifest and again.arrays.keys() == trace.arrays.keys()
    assert all(np.array_equal(again.arrays[name], array) for name, array in trace.arrays.items())
    assert again.to_bytes() == trace.to_bytes() and [p.name for p in tmp_path.iterdir()] == ["x.trace"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_cut_short(trace: Trace, tmp_path: Path, share: float) -> None:
    path, content = tmp_path / "x.trace", trace.to_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="is not a trace, or is cut short"):
        Trace.load(path)


def test_a_pickle_by_another_name(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, tmp_path / "x.trace")
    with pytest.raises(UserError, match="is not a trace"):
        Trace.load(tmp_path / "x.trace")


def test_another_safetensors_file(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="is a safetensors file but not a trace"):
        Trace.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "change, says",
    [
        ({"version": 2}, "cannot read .*reads version 1.*version"),
        ({"format": "other"}, "cannot read"),
        ({"colour": "red"}, "cannot read.*colour"),
        ({"relations": 3}, "cannot read.*relations"),
    ],
)
def test_a_manifest_that_is_none(trace: Trace, tmp_path: Path, change: dict[str, object], says: str) -> None:
    text = json.dumps({**json.loads(trace.manifest.model_dump_json()), **change})
    for written in (text, text[:-1]):  # the second is no JSON
        save_file(trace.arrays, tmp_path / "x.trace", {"allyouneed-trace": written})
        with pytest.raises(UserError, match=says if written is text else "cannot read"):
            Trace.load(tmp_path / "x.trace")


def test_an_array_that_is_missing_or_of_another_type(trace: Trace, tmp_path: Path) -> None:
    text = {"allyouneed-trace": trace.manifest.model_dump_json()}
    save_file({n: a for n, a in trace.arrays.items() if n != "self.0.k"}, tmp_path / "x.trace", text)
    with pytest.raises(UserError, match=r"names an array 'self\.0\.k' that it does not hold"):
        Trace.load(tmp_path / "x.trace")
    save_file({**trace.arrays, "self.0.k": trace.arrays["self.0.k"].astype(np.float64)}, tmp_path / "x.trace", text)
    with pytest.raises(UserError, match=r"array 'self\.0\.k' of the trace is float64"):
        Trace.load(tmp_path / "x.trace")


@pytest.mark.parametrize(
    "change, says",
    [
        ({"queries": "nowhere"}, "relation 'self' of the trace is of a space 'nowhere' that it does not have"),
        ({"layers": [{"module": "m", "heads": 3, "q": "self.0.q", "k": "self.0.k"}]}, "array 'self.0.q'.*3 heads"),
        ({"layers": [{"module": "m", "heads": 2, "weights": "self.0.q"}]}, "array 'self.0.q'"),
    ],
)
def test_arrays_that_do_not_fit_their_spaces(
    trace: Trace, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    said = json.loads(trace.manifest.model_dump_json())
    said["relations"]["self"] |= change
    save_file(trace.arrays, tmp_path / "x.trace", {"allyouneed-trace": json.dumps(said)})
    with pytest.raises(UserError, match=says):
        Trace.load(tmp_path / "x.trace")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the trace"):
        Trace.load(tmp_path / "x.trace")
    with pytest.raises(UserError, match="cannot write the trace"):
        Trace(Manifest(model=ModelCard(name="x")), {}).save(tmp_path / "no" / "x.trace")


def test_relations_and_layers_that_are_not_there(trace: Trace) -> None:
    with pytest.raises(UserError, match="no relation 'cross'; it has self"):
        trace.weights("cross")
    with pytest.raises(UserError, match="has 1 layers, counted from 0; there is no layer 1"):
        trace.weights("self", 1)

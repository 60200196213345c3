"""What mixers other than attention show: each known answer by a loop, each identity with the real output."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from allyouneed.models.mixer import MixerConfig, mixer
from allyouneed.models.reformer import ReformerConfig, language_model, tagger
from allyouneed.models.universal import UniversalConfig, translator
from allyouneed.models.universal import tagger as pondering_tagger
from allyouneed.nn.alignment import AdditiveAttend
from allyouneed.nn.attention import Attend, CausalAttend
from allyouneed.nn.lambda_layer import LambdaLayer
from allyouneed.nn.layer import Context
from allyouneed.nn.local import CausalChunkAttend, ChunkAttend, WindowAttend
from allyouneed.nn.lsh import LSHAttend
from allyouneed.nn.shared_attention import SharedAttend, unit_length
from allyouneed.nn.shuffle import ShuffleExchange
from allyouneed.tracing.record import record
from allyouneed.tracing.trace import Trace

# ---- who may be seen


@pytest.mark.parametrize(
    "attend",
    [Attend(), CausalAttend(), WindowAttend(2, 1), WindowAttend(3), ChunkAttend(3), CausalChunkAttend(2), SharedAttend(),
     SharedAttend(causal=True), AdditiveAttend(4, 4)],
    ids=lambda attend: type(attend).__name__,
)  # fmt: skip
@pytest.mark.parametrize("masked", [False, True])
def test_what_is_visible_is_where_a_query_that_likes_all_alike_looks(attend: Attend, masked: bool) -> None:
    heads = 1 if isinstance(attend, AdditiveAttend) else 2
    q, mask = torch.randn(2, heads, 7, 4), torch.ones(2, 1, 1, 7, dtype=torch.bool)
    mask[1, ..., 5:] = False
    given = mask if masked else None
    alike = attend.weights(torch.zeros_like(q), torch.zeros_like(q), given) > 0
    assert torch.equal(attend.visible(q, q, given).expand_as(alike), alike)


@pytest.mark.parametrize("attend", [WindowAttend(2, 1), ChunkAttend(3), CausalChunkAttend(3)])
def test_windows_are_visible_cells_of_a_trace(attend: WindowAttend) -> None:
    q = torch.randn(1, 2, 300, 4)
    with record(attend) as seen:
        attend(q, q, q)
    trace = seen.trace()
    (layer,) = trace.manifest.relations["self"].layers
    assert layer.q is not None and layer.error < 1e-5
    visible, places = trace.visible(layer)[0], torch.arange(300.0)
    assert np.array_equal(visible, attend.sees(places[:, None], places))
    assert not trace.weights("self")[0][~visible].any()


# ---- hashing


def lsh(**more: object) -> tuple[LSHAttend, Tensor]:
    return LSHAttend(2, 4, chunk=4, buckets=(4,), rounds=3, **more).eval(), torch.randn(1, 2, 18, 4)


@pytest.mark.parametrize("causal", [False, True])
def test_weights_of_hashing_are_exact_and_its_visible_cells_those_of_its_chunks(causal: bool) -> None:
    attend, q = lsh(causal=causal)
    with record(attend) as seen:
        attend(q, unit_length(q), torch.randn_like(q))
    trace = seen.trace()
    (layer,) = trace.manifest.relations["self"].layers
    assert layer.weights is not None and layer.error < 1e-6
    (found,) = trace.manifest.buckets
    buckets, order = trace.arrays[found.buckets], trace.arrays[found.order]
    assert buckets.shape == order.shape == (2, 3, 18) and found.chunk == 4 and found.relation == "self"
    near = np.zeros((2, 18, 18), bool)
    for head in range(2):
        for turn in range(3):
            row = order[head, turn].tolist()
            assert sorted(row) == list(range(18))
            assert buckets[head, turn][row].tolist() == sorted(buckets[head, turn].tolist())
            for place, item in enumerate(row):
                for other in row[max(place // 4 * 4 - 4, 0) : place // 4 * 4 + 4]:
                    near[head, item, other] |= other != item and (other < item or not causal)
    near[:, range(18), range(18)] = ~near.any(-1)  # alone, it may look at itself
    assert np.array_equal(trace.visible(layer), near)


def test_buckets_leave_padding_out_and_a_short_text_has_none() -> None:
    config = ReformerConfig(vocab_size=24, dim=16, heads=2, ffn_dim=16, order="hf", chunk=4, positions_shape=(8, 8))
    ids = torch.randint(4, 24, (2, 12))
    ids[1, 10:] = 0
    for build in (tagger, language_model):
        with record(build(config).eval()) as seen:
            seen.model(ids)
        trace = seen.trace(item=1)
        (found,) = trace.manifest.buckets
        order = trace.arrays[found.order]
        assert order.shape == (2, 4, 10) and (np.sort(order, -1) == np.arange(10)).all()
        assert trace.manifest.relations["self"].layers[0].error < 1e-5
        with record(build(config).eval()) as seen:
            seen.model(ids[:, :4])
        assert not seen.trace().manifest.buckets


def test_hashing_of_too_long_a_text_is_left_out_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ReformerConfig(vocab_size=24, dim=16, heads=2, ffn_dim=16, order="lh", chunk=4, positions_shape=(8, 8))
    with torch.no_grad(), record(tagger(config).eval()) as seen:
        seen.model(torch.randint(4, 24, (1, 40)))
    monkeypatch.setattr("allyouneed.tracing.attending.WHOLE", 1000)
    trace = seen.trace()
    assert [layer.module[-14:] for layer in trace.manifest.relations["self"].layers] == ["0l.layer.attend"[-14:]]
    assert "1h.layer.attend was left out" in trace.manifest.notes[0] and not trace.manifest.buckets


def test_a_reversible_backward_pass_is_not_recorded_twice() -> None:
    model = tagger(ReformerConfig(vocab_size=24, dim=16, heads=2, ffn_dim=16, depth=1, positions_shape=(8, 8)))
    with record(model) as seen:
        model(torch.randint(4, 24, (1, 8))).sum().backward()
    assert len(seen.looks) == 2


# ---- halting


@pytest.mark.parametrize("update", ["basic", "accumulated"])
@pytest.mark.parametrize("freeze", [False, True])
def test_halting_step_by_step(update: str, freeze: bool) -> None:
    config = UniversalConfig(
        vocab_size=24, dim=16, heads=2, ffn_dim=16, steps=6, halting=update, freeze=freeze, dropout=0.0
    )
    model = pondering_tagger(config).eval()
    nn.init.normal_(model.encoder.halt.weight, std=0.08)
    nn.init.constant_(model.encoder.halt.bias, -1.0)
    sure: list[Tensor] = []
    coordinates = model.encoder.coordinates
    hook = coordinates.register_forward_hook(lambda _, __, x: sure.append(model.encoder.probability(x)[1]))
    ids = torch.randint(4, 24, (2, 7))
    ids[1, 5:] = 0
    with torch.no_grad(), record(model) as seen:
        model(ids)
    hook.remove()
    expected = torch.stack(sure).numpy()
    trace = seen.trace(item=1)
    (halting,) = trace.manifest.halting
    probabilities, updates, left = (
        trace.arrays[name] for name in (halting.probabilities, halting.updates, halting.remainders)
    )
    assert halting.relation == "self" and halting.space == "tokens" and not trace.manifest.notes[1:]
    assert len(trace.manifest.relations["self"].layers) == len(sure) >= len(probabilities)
    for i in range(5):
        spent, steps, rest = 0.0, 0, 0.0
        for step in range(len(probabilities)):
            p = expected[step, i]
            steps += 1
            assert probabilities[step, i] == pytest.approx(p, abs=1e-5)
            if spent + p > 1 - config.halting_epsilon:
                rest = 1 - spent
                break
            spent += p
        assert updates[i] == steps and left[i] == pytest.approx(rest, abs=1e-5)
        assert not probabilities[steps:, i].any()
    assert probabilities.shape[1] == 5 and len(set(updates.tolist())) > 1


def test_both_sides_of_a_translator_halt() -> None:
    config = UniversalConfig(vocab_size=24, dim=16, heads=2, ffn_dim=16, steps=3, halting="basic", dropout=0.0)
    model = translator(config).eval()
    with torch.no_grad(), record(model) as seen:
        model(torch.randint(4, 24, (1, 5)), torch.randint(4, 24, (1, 4)))
    found = seen.trace().manifest.halting
    assert [(one.relation, one.space) for one in found] == [("encoder", "source"), ("decoder", "target")]


# ---- lambdas and token mixing


@pytest.mark.parametrize("sees", ["both", "content", "position"])
@pytest.mark.parametrize("intra, scope", [(1, (7, 7)), (2, (3, 3)), (3, (9, 5))])
def test_the_relation_of_a_lambda_layer_by_loops(sees: str, intra: int, scope: tuple[int, int]) -> None:
    layer = LambdaLayer(8, heads=2, key_dim=3, intra=intra, scope=scope, sees=sees).eval()
    x = torch.randn(2, 8, 4, 4)
    with torch.no_grad(), record(layer) as seen:
        layer(x)
    trace = seen.trace(item=1)
    relation = trace.manifest.relations["mixing"]
    assert relation.kind == "signed" and relation.layers[0].error < 1e-5 and relation.layers[0].output_rows == 16
    assert trace.manifest.spaces["patches"].rows == trace.manifest.spaces["patches"].columns == 4
    weights = trace.weights("mixing").reshape(2, intra, 16, 16)
    flat = x[1].flatten(1).T[None]  # 1 n d
    with torch.no_grad():
        q, _ = layer.project(flat, (4, 4))
        keys = layer.key(flat)[0].softmax(0).unflatten(1, (intra, 3)) if layer.key is not None else None
        for n, m, head, u in [(0, 0, 0, 0), (3, 12, 1, intra - 1), (15, 0, 0, 0), (5, 10, 1, 0), (6, 7, 0, intra - 1)]:
            expected = 0.0
            if keys is not None:
                expected += float(q[0, n, head] @ keys[m, u])
            down, right = m // 4 - n // 4 + scope[0] // 2, m % 4 - n % 4 + scope[1] // 2
            if layer.table is not None and 0 <= down < scope[0] and 0 <= right < scope[1]:
                expected += float(q[0, n, head] @ layer.table[down, right, :, u])
            assert weights[head, u, n, m] == pytest.approx(expected, abs=1e-5)


def test_a_token_mlp_shows_its_matrices_and_says_what_that_is() -> None:
    model = mixer(MixerConfig(classes=3, channels=1, image_size=12, patch=4, dim=8, token_dim=5, ffn_dim=8, depth=2))
    with torch.no_grad(), record(model.eval()) as seen:
        model(torch.randn(2, 1, 12, 12))
    trace = seen.trace()
    relation = trace.manifest.relations["mixing"]
    assert relation.input_independent and "as if the activation" in relation.note and len(relation.layers) == 2
    mlp = model.encoder.layers["2t"].layer.mlp
    expected, (outer, inner) = np.zeros((9, 9)), (mlp.outer.weight.detach().numpy(), mlp.inner.weight.detach().numpy())
    for out in range(9):
        for i in range(9):
            expected[out, i] = sum(outer[out, j] * inner[j, i] for j in range(5))
    np.testing.assert_allclose(trace.weights("mixing", 1)[0], expected, atol=1e-6)
    assert relation.layers[0].error is None and not relation.layers[0].entropy


# ---- shuffles


@pytest.mark.parametrize("n", [2, 5, 8, 13])
def test_where_shuffles_send_each_place(n: int) -> None:
    """By a switch that keeps all as it is: what is left of the network are its wires."""

    class Kept(nn.Module):
        def forward(self, x: Tensor, earlier: Tensor | None, bits: int) -> Tensor:
            return x

    layer, states = ShuffleExchange(2, lambda linked: Kept()), []
    for block in layer.blocks:
        for unit in (block.forth, block.back):
            unit.register_forward_pre_hook(lambda _, given: states.append(given[0][0, :, 0].int().tolist()))
    layer.last.register_forward_pre_hook(lambda _, given: states.append(given[0][0, :, 0].int().tolist()))
    x = torch.arange(1.0, n + 1).view(1, n, 1)
    with record(layer) as seen:
        layer(x, Context())
    trace = seen.trace()
    length = len(states[0])
    assert len(trace.manifest.permutations) == len(states) - 1
    for before, after, found in zip(states, states[1:], trace.manifest.permutations, strict=False):
        targets = trace.arrays[found.targets]
        assert sorted(targets.tolist()) == list(range(length))
        assert [after[place] for place in targets] == before
    if trace.manifest.permutations:
        items = trace.manifest.spaces["places"].items
        assert items == [*map(str, range(1, n + 1)), *["<pad>"] * (length - n)]


# ---- the aligning attention of recurrent translators


def test_additive_attention_is_checked_like_any_other() -> None:
    attend = AdditiveAttend(3, 4)
    q, k, v = torch.randn(2, 1, 5, 3), torch.randn(2, 1, 6, 4), torch.randn(2, 1, 6, 8)
    found = attend.look(q[:, 0], k[:, 0], v[:, 0], None)[:, None]
    with record(attend) as seen:
        assert torch.equal(attend(q, k, v, None, found=found), found)
    torch.testing.assert_close(attend(q, k, v), found)
    trace: Trace = seen.trace()
    assert trace.manifest.relations["cross"].layers[0].error < 1e-6

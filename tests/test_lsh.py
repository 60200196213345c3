"""Hashed attention against a loop over rounds and positions, against exact attention, and Hugging Face's layer."""

import math

import pytest
import torch
from torch import Tensor

from allyouneed.nn.layer import Context
from allyouneed.nn.lsh import LSHAttend
from allyouneed.nn.shared_attention import SharedAttend, SharedSelfAttention, unit_length

H, K = 2, 4


def attend_of(causal: bool = True, wrap: bool = False, chunk: int = 4, rounds: int = 3) -> LSHAttend:
    return LSHAttend(H, K, chunk, (4, 2), rounds, causal, wrap).double().eval()


def qkv(n: int, b: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    q, v = (torch.randn(b, H, n, K, dtype=torch.double, requires_grad=True) for _ in range(2))
    return q, unit_length(q), v


def buckets_by_hand(attend: LSHAttend, x: Tensor, head: int, turn: int) -> int:
    """The end of the axis that the rotated vector lies nearest to, for each factor; the factors count as digits."""
    found, stride, first = 0, 1, 0
    for size in attend.buckets:
        columns = attend.rotations[head, :, turn, first : first + size // 2]
        ends = [float(x.detach() @ columns[:, i]) for i in range(size // 2)]
        ends += [-end for end in ends]
        found += stride * ends.index(max(ends))
        stride, first = stride * size, first + size // 2
    return found


def loop(attend: LSHAttend, q: Tensor, v: Tensor, real: list[int]) -> list[list[Tensor]]:
    """One text (h n k): per head and real position, a softmax over whom any round shows, as often as it shows them."""
    c, n, rounds = attend.chunk, q.shape[1], attend.rotations.shape[2]
    whole = math.ceil(n / c) * c
    out = []
    for head in range(H):
        orders = []
        for turn in range(rounds):
            keys = [(buckets_by_hand(attend, q[head, i], head, turn) if i in real else 10**9, i) for i in range(n)]
            orders.append([i for _, i in sorted(keys + [(10**9, i) for i in range(n, whole)])])
        row = []
        for i in real:
            scores, values = [], []
            for turn, order in enumerate(orders):
                t = order.index(i) // c
                before = order[(t - 1) * c : t * c] if t else orders[turn - 1][-c:] if attend.wrap else []
                for j in before + order[t * c : (t + 1) * c]:
                    if j in real and (j <= i or not attend.causal):
                        length = (q[head, j].square().mean() + 1e-6).sqrt() * math.sqrt(K)
                        scores.append(q[head, i] @ q[head, j] / length - (1e5 if i == j else 0.0))
                        values.append(v[head, j])
            row.append(torch.stack(scores).softmax(0) @ torch.stack(values))
        out.append(row)
    return out


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("n", [3, 16, 21])
def test_it_is_what_the_paper_describes(causal: bool, wrap: bool, n: int) -> None:
    attend, (q, k, v) = attend_of(causal, wrap), qkv(n)
    real = [list(range(n)), [i for i in range(n) if i not in (1, n - 1)]]
    mask = torch.tensor([[i in row for i in range(n)] for row in real])[:, None, None]
    out = attend(q, k, v, mask)
    grads = torch.autograd.grad(sum(out[b, :, real[b]].square().sum() for b in range(2)), (q, v), retain_graph=True)
    expected = [loop(attend, q[b], v[b], real[b]) for b in range(2)]
    for b in range(2):
        for head in range(H):
            torch.testing.assert_close(out[b, head, real[b]], torch.stack(expected[b][head]), atol=1e-9, rtol=0)
    by_hand = sum(torch.stack(row).square().sum() for text in expected for row in text)
    for ours, theirs in zip(grads, torch.autograd.grad(by_hand, (q, v)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=0)


def test_a_text_of_one_chunk_is_looked_at_exactly() -> None:
    (q, k, v), exact = qkv(16), SharedAttend(True).eval()
    torch.testing.assert_close(attend_of(chunk=16)(q, k, v), exact(q, k, v))
    hashed = attend_of(chunk=8, rounds=1)  # two chunks: each position sees its own and the one before
    assert not torch.allclose(hashed(q, k, v), exact(q, k, v))


def test_a_position_looks_at_itself_only_where_it_sees_nobody_else() -> None:
    q, k, v = qkv(5)
    for attend in (SharedAttend(True), SharedAttend(False)):
        weights = attend.weights(q, k)
        own = weights.diagonal(dim1=-2, dim2=-1)
        alone = torch.tensor([attend.causal, False, False, False, False])
        torch.testing.assert_close(own, alone.double().expand_as(own), atol=1e-12, rtol=0)
        torch.testing.assert_close(weights @ v, attend(q, k, v))


def test_a_later_position_is_never_read_however_it_moves_the_chunks() -> None:
    attend, (q, k, v) = attend_of(wrap=True), qkv(32, 1)
    weights = attend.weights(q, k)
    assert not weights.triu(1).any()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    torch.testing.assert_close(weights @ v, attend(q, k, v))
    out = attend(q, k, v)
    for place in (0, 7, 20):
        (grad,) = torch.autograd.grad(out[:, :, place].sum(), q, retain_graph=True)
        assert not grad[:, :, place + 1 :].any()
    changed = q.detach().clone()
    changed[:, :, 20:] = torch.randn(1, H, 12, K)
    moved = attend(changed, unit_length(changed), v)
    assert not torch.equal(moved[:, :, :20], out[:, :, :20])  # the trap that the module's first lines tell of


def test_more_rounds_come_nearer_to_exact_attention() -> None:
    q, k, v = (x.detach() for x in qkv(256, 1))
    exact, errors = SharedAttend(True)(q, k, v), []
    attend = LSHAttend(H, K, 16, (32,), 1, True).double().eval()
    for rounds in (1, 2, 4, 8, 32):
        attend.set_rounds(rounds)
        errors.append(float((attend(q, k, v) - exact).norm() / exact.norm()))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]


def test_like_vectors_fall_into_one_bucket_more_often() -> None:
    attend = LSHAttend(1, 32, 4, (16,), 200).double()
    x = torch.nn.functional.normalize(torch.randn(1, 1, 400, 32).double(), dim=-1)
    for cosine, low, high in ((1.0, 1.0, 1.0), (0.95, 0.4, 0.9), (0.0, 0.03, 0.1)):
        other = torch.nn.functional.normalize(
            torch.randn_like(x) - x * (torch.randn_like(x) * x).sum(-1, keepdim=True), dim=-1
        )
        other = other - (other * x).sum(-1, keepdim=True) * x
        near = cosine * x + math.sqrt(1 - cosine**2) * torch.nn.functional.normalize(other, dim=-1)
        same = (attend.hash(x, attend.rotations) == attend.hash(3 * near, attend.rotations)).double().mean()
        assert low <= same <= high


def test_learning_draws_new_rotations_and_judging_keeps_them() -> None:
    attend, (q, k, v) = attend_of(), qkv(32)
    assert torch.equal(attend(q, k, v), attend(q, k, v))
    attend.train()
    assert not torch.equal(attend(q, k, v), attend(q, k, v))
    assert list(attend.state_dict()) == ["rotations"]


@pytest.mark.parametrize("wrap", [True, False])
def test_a_step_is_the_last_position_of_reading_so_far(wrap: bool) -> None:
    layer = SharedSelfAttention(6, H, attend_of(wrap=wrap), K).double().eval()
    x = torch.randn(3, 19, 6).double()
    cache = layer.init_cache(x[:, :0], Context())
    for t in range(19):
        out, cache = layer.step(x[:, t : t + 1], cache, Context())
        torch.testing.assert_close(out, layer(x[:, : t + 1], Context())[:, -1:], atol=1e-9, rtol=0)


@pytest.mark.parametrize("causal", [True, False])
def test_dropout_keeps_the_mean(causal: bool) -> None:
    q, k, v = (x.detach().float() for x in qkv(16, 1))
    attend = attend_of(causal).float()
    with torch.no_grad():
        drawn = torch.stack([attend.look(q, k, v, None, attend.rotations, 0.3) for _ in range(1000)])
        error = (drawn.mean(0) - attend(q, k, v)) / (drawn.std(0) / 1000**0.5 + 1e-5)
    assert drawn.std(0).max() > 0.1 and error.abs().max() < 5.5


def test_the_compiled_twin_is_the_same() -> None:
    torch.compiler.reset()
    attend, (q, k, v) = attend_of(), qkv(21)
    compiled = torch.compile(attend, backend="eager", fullgraph=True)
    mask = torch.rand(2, 1, 1, 21) > 0.2
    torch.testing.assert_close(compiled(q, k, v, mask), attend(q, k, v, mask), atol=1e-9, rtol=0)


def test_it_learns_under_autocast() -> None:
    layer, x = SharedSelfAttention(6, H, attend_of().float(), K), torch.randn(2, 30, 6, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = layer(x, Context())
    narrow.float().square().sum().backward()
    assert narrow.isfinite().all() and all(p.grad.isfinite().all() and p.grad.any() for p in (x, *layer.parameters()))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n, rounds, factors", [(4, 2, 4), (16, 1, 4), (32, 3, [4, 2])])
def test_it_is_hugging_faces_layer(causal: bool, n: int, rounds: int, factors: int | list[int]) -> None:
    """In their double precision: in single, a position that sees itself twice and nobody else loses 0.5 % there."""
    transformers = pytest.importorskip("transformers")
    from transformers.models.reformer.modeling_reformer import LSHSelfAttention

    theirs = LSHSelfAttention(
        transformers.ReformerConfig(
            hidden_size=6, num_attention_heads=H, attention_head_size=K, lsh_attn_chunk_length=4, num_buckets=factors,
            num_hashes=rounds, hash_seed=5, is_decoder=causal, lsh_attention_probs_dropout_prob=0.0, attn_layers=["lsh"],
        )
    )  # fmt: skip
    tuple_of = (factors,) if isinstance(factors, int) else tuple(factors)
    ours = SharedSelfAttention(6, H, LSHAttend(H, K, 4, tuple_of, rounds, causal, wrap=True), K).eval()
    ours.qk.weight.data, ours.v.weight.data = theirs.query_key.weight.data.clone(), theirs.value.weight.data.clone()
    torch.manual_seed(5)
    ours.attend.rotations = torch.randn(H, K, rounds, sum(tuple_of) // 2, dtype=torch.double).float()
    theirs.double()
    x, real = torch.randn(3, n, 6), torch.ones(3, n, dtype=torch.bool)
    real[1, n // 2 :] = real[2, -1] = False
    out = ours(x, Context(mask=real[:, None, None]))
    seen = theirs(x.double(), attention_mask=real).hidden_states
    expected = seen @ ours.out.weight.double().T
    torch.testing.assert_close(out[real].double(), expected[real], atol=1e-5, rtol=0)
    weight = torch.randn_like(out) * real[..., None]
    found = torch.autograd.grad((out * weight).sum(), [ours.qk.weight, ours.v.weight])
    wanted = torch.autograd.grad((expected * weight).sum(), [theirs.query_key.weight, theirs.value.weight])
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine.double(), other, atol=1e-5, rtol=1e-5)

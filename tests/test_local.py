"""Windowed and chunked attention against dense attention with the band as a mask, and against loops."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allyouneed.nn import chunks, local
from allyouneed.nn.chunks import NOWHERE, Places, chunk_attention, plain_chunk_attention
from allyouneed.nn.kernels import plain_attention
from allyouneed.nn.layer import Context
from allyouneed.nn.local import CausalChunkAttend, ChunkAttend, LocalAttend, LocalSelfAttention, WindowAttend

ATTENDS = {
    "left": WindowAttend(20),
    "both": WindowAttend(7, 33),
    "right": WindowAttend(0, 5),
    "itself": WindowAttend(0, 0),
    "wide": WindowAttend(300, 300),
    "chunks": ChunkAttend(16),
    "lopsided": ChunkAttend(24, 2, 0),
    "blocks": ChunkAttend(50, 0, 0),
    "causal": CausalChunkAttend(16, 2),
}
each = pytest.mark.parametrize("name", ATTENDS)


@pytest.fixture(params=["many slabs", "one slab"], autouse=True)
def always_in_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short texts by the kernel for long ones, in slabs of one chunk and in one slab for all."""
    monkeypatch.setattr(local, "SHORT", 0)
    monkeypatch.setattr(chunks, "SCORES", 1 if request.param == "many slabs" else 2**30)
    yield


def may_see(attend: LocalAttend, i: int, j: int) -> bool:
    """The band by its definition, in whole numbers."""
    if isinstance(attend, WindowAttend):
        return -attend.left <= j - i <= attend.right
    near = -attend.before <= j // attend.chunk - i // attend.chunk <= attend.after
    return near and (j <= i or not isinstance(attend, CausalChunkAttend))


def band(attend: LocalAttend, n: int) -> Tensor:
    return torch.tensor([[may_see(attend, i, j) for j in range(n)] for i in range(n)])


def qkv(n: int, b: int = 2) -> list[Tensor]:
    return [torch.randn(b, 2, n, 4, dtype=torch.double, requires_grad=True) for _ in range(3)]


def agree(attend: LocalAttend, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> None:
    n = q.shape[2]
    out, dense = (
        attend(q, k, v, mask),
        plain_attention(q, k, v, band(attend, n) if mask is None else band(attend, n) & mask),
    )
    torch.testing.assert_close(out, dense)
    weight = torch.randn_like(out)
    found = torch.autograd.grad((out * weight).sum(), (q, k, v))
    for ours, expected in zip(found, torch.autograd.grad((dense * weight).sum(), (q, k, v)), strict=True):
        torch.testing.assert_close(ours, expected)


@each
@pytest.mark.parametrize("n", [1, 16, 100])
@pytest.mark.parametrize("masked", [True, False])
def test_it_is_dense_attention_with_a_band_mask(name: str, n: int, masked: bool) -> None:
    mask = torch.rand(2, 1, 1, n) > 0.4 if masked else None  # so that some rows see nothing at all
    agree(ATTENDS[name], *qkv(n), mask)


@given(st.integers(0, 70), st.integers(0, 70), st.integers(1, 140))
@settings(max_examples=25, deadline=None)
def test_a_window_of_any_reach(left: int, right: int, n: int) -> None:
    agree(WindowAttend(left, right), *qkv(n, 1), None)


def test_a_window_of_left_1_sees_two_keys() -> None:
    """By hand: values 0, 1, 2, 3 and equal scores, so each place gives the mean of itself and the one before."""
    zeros, v = torch.zeros(1, 1, 4, 2), torch.arange(4.0).view(1, 1, 4, 1).expand(-1, -1, -1, 2)
    assert WindowAttend(1)(zeros, zeros, v)[0, 0, :, 0].tolist() == [0.0, 0.5, 1.5, 2.5]
    assert WindowAttend(0, 1)(zeros, zeros, v)[0, 0, :, 0].tolist() == [0.5, 1.5, 2.5, 3.0]


def test_a_row_that_sees_nothing_gives_zeros_and_no_gradient() -> None:
    q, k, v = qkv(40, 1)
    mask = torch.ones(1, 1, 1, 40, dtype=torch.bool)
    mask[..., 10:30] = False
    out = WindowAttend(3)(q, k, v, mask)
    assert not out[0, :, 13:30].any() and out[0, :, :13].all() and out[0, :, 30:].all()
    grads = torch.autograd.grad(out.sum(), (q, k, v))
    assert all(grad.isfinite().all() and not grad[0, :, 13:30].any() for grad in grads)


@each
@pytest.mark.parametrize("n", [5, 100])
def test_the_map_shown_is_the_map_used(name: str, n: int) -> None:
    (q, k, v), mask = qkv(n), torch.rand(2, 1, 1, n) > 0.4
    torch.testing.assert_close(ATTENDS[name].weights(q, k, mask) @ v, ATTENDS[name](q, k, v, mask))


# ---- the kernel


def places(t: int, c: int, p: int) -> Places:
    queries, keys = torch.arange(t * c).float(), torch.arange((t + p - 1) * c).float()
    keys[::5] = NOWHERE
    return Places(queries.view(1, 1, t, c), keys.view(1, 1, t + p - 1, c))


def rule(queries: Tensor, keys: Tensor) -> Tensor:
    return torch.where(keys < NOWHERE, -(queries - keys).abs() / 9, chunks.NEVER)


def test_the_kernels_gradients_and_those_of_its_denominators() -> None:
    q, k, v = (torch.randn(2, 1, t, 2, w, dtype=torch.double, requires_grad=True) for t, w in ((3, 3), (5, 3), (5, 2)))
    where = places(3, 2, 3)
    assert torch.autograd.gradcheck(lambda *x: chunk_attention(*x, where, rule), (q, k, v))
    for ours, plain in zip(
        chunk_attention(q, k, v, where, rule), plain_chunk_attention(q, k, v, where, rule), strict=True
    ):
        torch.testing.assert_close(ours, plain)


def test_dropout_keeps_the_mean() -> None:
    q, k, v = (torch.randn(1, 1, t, 3, 4) for t in (2, 3, 3))
    where = places(2, 3, 2)
    with torch.no_grad():
        drawn = torch.stack([chunk_attention(q, k, v, where, rule, 0.3)[0] for _ in range(2000)])
        error = (drawn.mean(0) - chunk_attention(q, k, v, where, rule)[0]) / (drawn.std(0) / 2000**0.5 + 1e-6)
    assert drawn.std(0).max() > 0.1 and error.abs().max() < 5


def kept(n: int) -> int:
    """Numbers that autograd keeps between the passes, each tensor once."""
    (q, k, v), found = qkv(n, 1), {}

    def pack(x: Tensor) -> Tensor:
        found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes() // 8
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        WindowAttend(64)(q, k, v)
    return sum(found.values())


def test_what_is_kept_grows_with_the_text_and_is_no_more_than_queries_keys_and_values() -> None:
    inputs = 3 * 2 * 4  # q, k, v of two heads of four
    assert kept(4096) < 1.5 * inputs * 4096
    assert kept(4096) < 4.2 * kept(1024)


# ---- the layer


@pytest.mark.parametrize("name", ["left", "itself", "causal"])
def test_the_cache_is_as_long_as_the_neighbourhood(name: str) -> None:
    attend = ATTENDS[name]
    layer, x = LocalSelfAttention(8, 2, attend, head_dim=3).double(), torch.randn(2, 70, 8).double()
    whole, cache = layer(x, Context()), layer.init_cache(x[:, :0], Context())
    longest = attend.left + 1 if isinstance(attend, WindowAttend) else attend.chunk * (attend.before + 1)
    for t in range(70):
        out, cache = layer.step(x[:, t : t + 1], cache, Context())
        torch.testing.assert_close(out, whole[:, t : t + 1])
        assert cache.keys.shape[2] <= min(t + 1, longest)
    assert attend.before == 0 or cache.keys.shape[2] > longest // 2


def test_it_learns_under_autocast() -> None:
    layer, x = LocalSelfAttention(8, 2, WindowAttend(5)), torch.randn(2, 50, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = layer(x, Context())
    torch.testing.assert_close(narrow.float(), layer(x, Context()), atol=2e-2, rtol=2e-2)
    narrow.float().square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in (x, layer.qkv.weight, layer.out.weight))


@pytest.mark.parametrize("causal", [True, False])
def test_chunks_are_those_of_the_package_local_attention(causal: bool) -> None:
    peer = pytest.importorskip("local_attention").LocalAttention(
        window_size=16, causal=causal, use_rotary_pos_emb=False, exact_windowsize=False
    )
    q, k, v = (x.float() for x in qkv(64))
    ours = CausalChunkAttend(16) if causal else ChunkAttend(16)
    torch.testing.assert_close(ours(q, k, v), peer(q, k, v), atol=1e-5, rtol=0)

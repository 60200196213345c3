"""Attention against the double loop that its equation spells, on every kernel that `attention` may choose."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from allyouneed.nn import kernels
from allyouneed.nn.attention import Attend, CausalAttend, CrossAttention, KeyValues, SelfAttention
from allyouneed.nn.kernels import NAIVE, _ShortAttention, attention, attention_weights, plain_attention
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import causal_mask, combine, padding_mask

BARELY = 1e-15
"""A dropout rate that takes the path of dropout and practically never drops."""


def loop_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """Equation 1 of the paper, number by number. `allowed` is `b h n m`."""
    out = torch.zeros(*q.shape[:-1], v.shape[-1], dtype=torch.float64)
    for b, h, i in torch.cartesian_prod(*(torch.arange(s) for s in q.shape[:3])).tolist():
        seen = [j for j in range(k.shape[2]) if allowed[b, h, i, j]]
        dots = [sum(x * y for x, y in zip(q[b, h, i].tolist(), k[b, h, j].tolist(), strict=True)) for j in seen]
        powers = [math.exp(dot / math.sqrt(q.shape[-1])) for dot in dots]
        for j, power in zip(seen, powers, strict=True):
            out[b, h, i] += power / sum(powers) * v[b, h, j].double()
    return out


MASKS: dict[str, Callable[[int, int], Tensor | None]] = {
    "none": lambda n, m: None,
    "padding": lambda n, m: padding_mask(torch.tensor([[5] * (m - 1) + [0], [5] * (m - 3) + [0] * 3])),
    "causal": lambda n, m: causal_mask(n, m),
    "both": lambda n, m: combine(MASKS["padding"](n, m), MASKS["causal"](n, m)),
    "blind rows": lambda n, m: torch.arange(n)[:, None].expand(n, m) % 2 == 0,
    "blind sentence": lambda n, m: padding_mask(torch.tensor([[5] * m, [0] * m])),
}
PATHS = ("short", "library", "long", "dropout", "plain")


def run(path: str, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
    """`attention` made to take one of its paths."""
    if path == "library":
        with torch.no_grad():
            return attention(q, k, v, mask, causal)
    if path == "dropout":
        return attention(q, k, v, mask, causal, dropout=BARELY)
    if path == "plain":
        return plain_attention(q, k, v, combine(mask, causal_mask(q.shape[2], k.shape[2])) if causal else mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "SHORT", 2 if path == "long" else 128)
        return attention(q, k, v, mask, causal)


def qkv(n: int, m: int, dtype: torch.dtype = torch.float64, width: int = 4) -> tuple[Tensor, ...]:
    shapes = (n, m, m)
    return tuple(torch.randn(2, 3, length, width, dtype=dtype).requires_grad_() for length in shapes)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("n, m", [(5, 5), (3, 6)])
def test_every_kernel_equals_the_double_loop(path: str, mask: str, n: int, m: int) -> None:
    q, k, v = qkv(n, m)
    allowed = MASKS[mask](n, m)
    everything = torch.ones(2, 3, n, m, dtype=torch.bool)
    expected = loop_attention(q, k, v, everything if allowed is None else everything & allowed)
    torch.testing.assert_close(run(path, q, k, v, allowed), expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("path", PATHS)
def test_every_kernel_in_lower_precision(path: str, dtype: torch.dtype, tolerance: float) -> None:
    q, k, v = qkv(5, 5, dtype)
    mask = MASKS["both"](5, 5)
    out = run(path, q, k, v, mask)
    assert out.dtype == dtype
    expected = loop_attention(q, k, v, torch.ones(2, 3, 5, 5, dtype=torch.bool) & mask)
    torch.testing.assert_close(out.double(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("n, m", [(4, 4), (2, 5), (1, 5)])
def test_causal_aligns_the_queries_with_the_last_keys(path: str, n: int, m: int) -> None:
    q, k, v = qkv(n, m)
    allowed = torch.tensor([[j <= i + m - n for j in range(m)] for i in range(n)]).expand(2, 3, n, m)
    torch.testing.assert_close(run(path, q, k, v, None, causal=True), loop_attention(q, k, v, allowed))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("path", [path for path in PATHS if path != "library"])
def test_a_row_that_sees_nothing_gives_zeros_and_finite_gradients(path: str, dtype: torch.dtype) -> None:
    q, k, v = qkv(4, 4, dtype)
    mask = combine(MASKS["blind rows"](4, 4), MASKS["blind sentence"](4, 4))
    out = run(path, q, k, v, mask)
    blind = ~mask.any(-1, keepdim=True).expand(2, 3, 4, 4)
    assert (out[blind] == 0).all() and (out[~blind] != 0).all()
    out.square().sum().backward()
    for tensor in (q, k, v):
        assert tensor.grad.isfinite().all()
    assert (q.grad[blind] == 0).all()
    assert (k.grad[1] == 0).all() and (v.grad[1] == 0).all()  # no row of the second sentence sees a key


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_row_that_sees_nothing_gives_zeros_without_gradients_and_without_keys(dtype: torch.dtype) -> None:
    q, k, v = qkv(4, 4, dtype)
    mask = MASKS["blind rows"](4, 4)
    assert (run("library", q, k, v, mask)[:, :, 1::2] == 0).all()
    for path in PATHS:
        assert (run(path, q, k[:, :, :0], v[:, :, :0], None) == 0).all()


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("m", [1, 9, NAIVE // 8])  # the last is the first length that `bmm` does not loop over
@pytest.mark.parametrize("masked", [False, True])
def test_the_kernel_without_gradients_is_the_plain_one(n: int, m: int, masked: bool) -> None:
    q, k, v = 40 * torch.randn(3, 2, n, 8), torch.randn(3, 2, m, 8), torch.randn(3, 2, m, 8)
    q[0, 0, 0] *= 20  # scores that exp alone could not hold
    mask = (torch.rand(3, 1, n, m) < 0.6) if masked else None
    if mask is not None:
        mask[1, :, 0] = False
    with torch.no_grad():
        found = attention(q, k, v, mask)
    torch.testing.assert_close(found, plain_attention(q, k, v, mask), rtol=1e-5, atol=1e-5)
    assert not masked or (found[1, :, 0] == 0).all()


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_of_weights_keeps_blind_rows_at_zero(dropout: float) -> None:
    q, k, v = qkv(4, 4, torch.float32)
    assert (attention(q, k, v, MASKS["blind rows"](4, 4), dropout=dropout)[:, :, 1::2] == 0).all()


@pytest.mark.parametrize("masked", [True, False])
def test_dropout_of_weights_keeps_the_mean(masked: bool) -> None:
    q, k, v = qkv(6, 6, torch.float32)
    mask = MASKS["both"](6, 6) if masked else None
    with torch.no_grad():
        drawn = torch.stack([attention(q, k, v, mask, dropout=0.3) for _ in range(3000)])
        error = (drawn.mean(0) - attention(q, k, v, mask)) / (drawn.std(0) / math.sqrt(len(drawn)) + 1e-6)
    assert drawn.std(0).max() > 0.1
    assert error.abs().max() < 5  # standard errors, over 144 numbers


@pytest.mark.parametrize("mask", MASKS)
def test_the_short_kernels_gradients(mask: str) -> None:
    q, k, v = qkv(3, 6)
    allowed = MASKS[mask](3, 6)
    assert torch.autograd.gradcheck(lambda *tensors: _ShortAttention.apply(*tensors, allowed), (q, k, v))


@pytest.mark.parametrize("path", [path for path in PATHS if path != "library"])
@pytest.mark.parametrize("mask", MASKS)
def test_every_kernel_has_the_gradients_of_the_plain_one(path: str, mask: str) -> None:
    q, k, v = qkv(5, 5)
    allowed, weight = MASKS[mask](5, 5), torch.randn(2, 3, 5, 4, dtype=torch.float64)
    found = torch.autograd.grad((run(path, q, k, v, allowed) * weight).sum(), (q, k, v))
    expected = torch.autograd.grad((plain_attention(q, k, v, allowed) * weight).sum(), (q, k, v))
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-12, rtol=1e-10)


def test_a_gradient_of_the_short_kernels_gradient_is_refused_rather_than_wrong() -> None:
    q, k, v = qkv(3, 3)
    (first,) = torch.autograd.grad(attention(q, k, v, None).square().sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_the_scale_undoes_the_growth_of_the_dot_products_variance() -> None:
    """Section 3.2.1, footnote 4: components of variance 1 give q·k the variance d_k."""
    for width in (16, 256):
        q, k = torch.randn(2, 1, 1, 300, width).unbind(0)
        dots = q @ k.transpose(-1, -2)
        assert dots.var() == pytest.approx(width, rel=0.1)
        scores = attention_weights(q, k, None).log()
        scores = scores - scores.mean(-1, keepdim=True)  # a softmax tells scores up to a constant per row
        assert scores.var() == pytest.approx(1.0, rel=0.1)


def test_without_the_scale_the_softmax_saturates() -> None:
    q, k = torch.randn(2, 1, 1, 64, 512).unbind(0)
    slope = lambda weights: (weights * (1 - weights)).mean()  # noqa: E731  the diagonal of softmax's Jacobian
    assert slope(attention_weights(q, k, None)) > 5 * slope(attention_weights(q * 512**0.5, k, None))


@pytest.mark.parametrize("attend, mask", [(Attend(), "padding"), (CausalAttend(), "padding"), (CausalAttend(), "none")])
def test_the_map_shown_is_the_map_used(attend: Attend, mask: str) -> None:
    q, k, v = qkv(5, 5)
    allowed = MASKS[mask](5, 5)
    weights = attend.weights(q, k, allowed)
    torch.testing.assert_close(weights @ v, attend(q, k, v, allowed))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 5, dtype=torch.float64))


def loop_heads(x: Tensor, memory: Tensor, weights: list[Tensor], heads: int, allowed: Tensor) -> Tensor:
    """Section 3.2.2 with each head on its own: `weights` are W_q, W_k, W_v, W_o as `out in`."""
    width, out = x.shape[-1] // heads, []
    for head in range(heads):
        rows = slice(head * width, (head + 1) * width)
        q, k, v = (t @ w[rows].T for t, w in zip((x, memory, memory), weights[:3], strict=True))
        out.append(loop_attention(q[:, None], k[:, None], v[:, None], allowed)[:, 0])
    return torch.cat(out, dim=-1) @ weights[3].T


def test_self_attention_equals_its_heads_one_by_one() -> None:
    layer, x = SelfAttention(8, 2, CausalAttend(), bias=False).double(), torch.randn(2, 5, 8).double()
    ids = torch.tensor([[5, 5, 5, 5, 5], [5, 5, 5, 0, 0]])
    weights = [*layer.qkv.weight.chunk(3), layer.out.weight]
    allowed = (causal_mask(5, 5) & padding_mask(ids)).expand(2, 1, 5, 5)
    expected = loop_heads(x, x, weights, 2, allowed)
    torch.testing.assert_close(layer(x, Context(mask=padding_mask(ids))), expected)


def test_cross_attention_equals_its_heads_one_by_one() -> None:
    layer, x, memory = (
        CrossAttention(8, 2, bias=False).double(),
        torch.randn(2, 3, 8).double(),
        torch.randn(2, 5, 8).double(),
    )
    mask = padding_mask(torch.tensor([[5, 5, 5, 5, 5], [5, 5, 5, 0, 0]]))
    weights = [layer.q.weight, *layer.kv.weight.chunk(2), layer.out.weight]
    expected = loop_heads(x, memory, weights, 2, mask.expand(2, 1, 3, 5))
    torch.testing.assert_close(layer(x, Context(memory=memory, memory_mask=mask)), expected)


def test_hypotheses_side_by_side_share_one_memory() -> None:
    layer, x, memory = CrossAttention(8, 2).double(), torch.randn(6, 4, 8).double(), torch.randn(2, 5, 8).double()
    mask = padding_mask(torch.tensor([[5, 5, 5, 5, 5], [5, 5, 5, 0, 0]]))
    shared = layer(x, Context(memory=memory, memory_mask=mask))
    copied = layer(x, Context(memory=memory.repeat_interleave(3, 0), memory_mask=mask.repeat_interleave(3, 0)))
    torch.testing.assert_close(shared, copied)


@pytest.mark.parametrize("layer", [SelfAttention(8, 2), CrossAttention(8, 2)])
def test_attention_learns_under_autocast(layer: torch.nn.Module) -> None:
    x, mask = torch.randn(2, 5, 8, requires_grad=True), padding_mask(torch.tensor([[5] * 5, [5, 5, 0, 0, 0]]))
    context = Context(mask=mask, memory=x, memory_mask=mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = layer(x, context)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.float(), layer(x, context), atol=2e-2, rtol=2e-2)
    narrow.float().square().sum().backward()
    assert x.grad.isfinite().all() and all(p.grad.abs().sum() > 0 for p in layer.parameters() if p.dim() == 2)


def test_a_cache_is_a_value() -> None:
    empty = KeyValues(torch.zeros(2, 3, 0, 4), torch.zeros(2, 3, 0, 4))
    one = empty.append(torch.ones(2, 3, 1, 4), torch.full((2, 3, 1, 4), 2.0))
    two = one.append(torch.full((2, 3, 1, 4), 3.0), torch.full((2, 3, 1, 4), 4.0))
    assert empty.keys.shape[2] == 0 and one.keys.shape[2] == 1
    assert two.keys[0, 0, :, 0].tolist() == [1, 3] and two.values[0, 0, :, 0].tolist() == [2, 4]

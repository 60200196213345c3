"""Convolutions along the text against a loop over positions, taps and channels' sums."""

import pytest
import torch
from torch import Tensor

from allyouneed.nn.convolution import CausalConvolution, CausalGatedConvolution, Convolution, GatedConvolution
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import padding_mask

NOWHERE = Context()
D = 4
KINDS = [Convolution, GatedConvolution, CausalConvolution, CausalGatedConvolution]
each = pytest.mark.parametrize("kind", KINDS)
shapes = pytest.mark.parametrize("kernel, dilation", [(1, 1), (3, 1), (3, 4), (4, 2)])


def loop(layer: Convolution, x: Tensor) -> Tensor:
    """y_t = act(b + sum_j W_j x_{t - offset + j dilation}), with zeros outside the text."""
    kernel, dilation = layer.conv.kernel_size[0], layer.conv.dilation[0]
    reach = (kernel - 1) * dilation
    left = reach if isinstance(layer, CausalConvolution) else reach // 2
    out = layer.conv.bias.expand(*x.shape[:2], -1).clone()
    for t in range(x.shape[1]):
        for j in range(kernel):
            if 0 <= (place := t - left + j * dilation) < x.shape[1]:
                out[:, t] += x[:, place] @ layer.conv.weight[:, :, j].T
    if layer.outputs == 1:
        return out.clamp(min=0)
    values, gates = out.chunk(2, -1)
    return values * gates.sigmoid()


@each
@shapes
def test_it_is_its_sum(kind: type[Convolution], kernel: int, dilation: int) -> None:
    layer, x = kind(D, kernel, dilation).double(), torch.randn(2, 9, D).double()
    torch.testing.assert_close(layer(x, NOWHERE), loop(layer, x))


@pytest.mark.parametrize("kind", KINDS[2:])
@shapes
def test_a_step_needs_the_inputs_within_reach_and_no_more(kind: type[Convolution], kernel: int, dilation: int) -> None:
    layer, x = kind(D, kernel, dilation).double(), torch.randn(2, 9, D).double()
    whole, cache = layer(x, NOWHERE), layer.init_cache(x[:, :0], NOWHERE)
    for t in range(9):
        out, cache = layer.step(x[:, t : t + 1], cache, NOWHERE)
        torch.testing.assert_close(out, whole[:, t : t + 1])
        assert cache.shape == (2, (kernel - 1) * dilation, D)


@each
def test_padding_does_not_leak_into_its_neighbours(kind: type[Convolution]) -> None:
    layer, x = kind(D, 5).double(), torch.randn(1, 6, D).double()
    mask = padding_mask(torch.tensor([[5, 5, 5, 5, 0, 0]]))
    torch.testing.assert_close(layer(x, Context(mask=mask))[:, :4], layer(x[:, :4], NOWHERE))


def test_doubling_dilations_see_all_of_a_long_past() -> None:
    """Kernels of 2 with dilations 1, 2, 4, 8 see exactly 16 positions: a path of log n layers (table 1 of the paper)."""
    x = torch.randn(1, 40, D, dtype=torch.double, requires_grad=True)
    y = x
    for dilation in (1, 2, 4, 8):
        y = CausalGatedConvolution(D, 2, dilation).double()(y, NOWHERE)
    (grad,) = torch.autograd.grad(y[0, 30].sum(), x)
    assert grad[0].abs().sum(-1).nonzero()[:, 0].tolist() == list(range(15, 31))


@each
def test_it_learns_under_autocast(kind: type[Convolution]) -> None:
    layer, x = kind(D), torch.randn(2, 9, D, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = layer(x, NOWHERE)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.float(), layer(x, NOWHERE), atol=3e-2, rtol=3e-2)
    narrow.float().square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in (x, *layer.parameters()))

"""Recurrent layers against their equations written out, one position and one gate at a time."""

import pytest
import torch
from torch import Tensor, nn

from allyouneed.nn.layer import Context
from allyouneed.nn.recurrent import GRU, LSTM, Recurrence

NOWHERE = Context()
D = 5


def lstm_loop(layer: LSTM, x: Tensor) -> Tensor:
    """Hochreiter and Schmidhuber 1997 with Gers' forget gate: c = f c + i g, h = o tanh(c)."""
    cell = layer.cell
    h = c = x.new_zeros(len(x), D)
    out = []
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        out.append(h)
    return torch.stack(out, 1)


def gru_loop(layer: GRU, x: Tensor) -> Tensor:
    """Cho et al. 2014 with the reset after the matrix: h = z h + (1 - z) tanh(W x + r (U h + b))."""
    cell, out = layer.cell, []
    h = x.new_zeros(len(x), D)
    for t in range(x.shape[1]):
        ours, past = x[:, t] @ cell.weight_ih.T + cell.bias_ih, h @ cell.weight_hh.T + cell.bias_hh
        r, z = (torch.sigmoid(a + b) for a, b in zip(ours.chunk(3, 1)[:2], past.chunk(3, 1)[:2], strict=True))
        h = z * h + (1 - z) * torch.tanh(ours.chunk(3, 1)[2] + r * past.chunk(3, 1)[2])
        out.append(h)
    return torch.stack(out, 1)


LOOPS = {LSTM: lstm_loop, GRU: gru_loop}
each = pytest.mark.parametrize("kind", LOOPS)


def layer_of(kind: type[Recurrence]) -> Recurrence:
    layer = kind(D).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.7)
    return layer


@each
def test_it_is_its_equations(kind: type[Recurrence]) -> None:
    layer, x = layer_of(kind), torch.randn(3, 7, D, dtype=torch.double, requires_grad=True)
    out, expected = layer(x, NOWHERE), LOOPS[kind](layer, x)
    torch.testing.assert_close(out, expected)
    weight = torch.randn_like(out)
    found = torch.autograd.grad((out * weight).sum(), [x, *layer.parameters()])
    by_hand = torch.autograd.grad((expected * weight).sum(), [x, *layer.parameters()])
    for ours, loop in zip(found, by_hand, strict=True):
        torch.testing.assert_close(ours, loop)


@each
def test_steps_give_what_reading_gives_and_the_cache_does_not_grow(kind: type[Recurrence]) -> None:
    layer, x = layer_of(kind), torch.randn(3, 7, D, dtype=torch.double)
    whole, cache = layer(x, NOWHERE), layer.init_cache(x[:, :0], NOWHERE)
    for t in range(7):
        out, cache = layer.step(x[:, t : t + 1], cache, NOWHERE)
        torch.testing.assert_close(out, whole[:, t : t + 1])
        assert all(part.shape == (3, D) for part in cache)


def test_an_lstm_remembers_at_first() -> None:
    """The forget gate's bias is one, all others zero: a cell keeps 73 % of itself from the first day."""
    cell = LSTM(D).cell
    assert (cell.bias_ih + cell.bias_hh).tolist() == [0.0] * D + [1.0] * D + [0.0] * 2 * D


@each
def test_an_empty_text_gives_nothing(kind: type[Recurrence]) -> None:
    assert layer_of(kind)(torch.zeros(2, 0, D).double(), NOWHERE).shape == (2, 0, D)


@each
def test_it_learns_under_autocast(kind: type[Recurrence]) -> None:
    layer, x = kind(D), torch.randn(2, 40, D, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = layer(x, NOWHERE)
    torch.testing.assert_close(narrow.float(), layer(x, NOWHERE), atol=3e-2, rtol=0)
    narrow.float().square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in (x, *layer.parameters()))

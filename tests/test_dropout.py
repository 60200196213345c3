"""Dropout's cheap random bytes are fair: in all eight lanes of a word, on average, and in the gradient."""

import math

import pytest
import torch

from allyouneed.nn.dropout import Dropout, byte_mask

CPU = torch.device("cpu")


@pytest.mark.parametrize("drop", [1, 26, 77, 128, 255])
def test_every_byte_of_the_word_is_unbiased(drop: int) -> None:
    words = 100_000
    lanes = byte_mask(torch.Size([words, 8]), drop, CPU).double().mean(0)
    keep = 1 - drop / 256
    assert (lanes - keep).abs().max() < 5 * math.sqrt(keep * (1 - keep) / words)


def test_the_bytes_of_a_word_are_independent() -> None:
    lanes = byte_mask(torch.Size([100_000, 8]), 128, CPU).double()
    between = torch.corrcoef(lanes.T) - torch.eye(8)
    assert between.abs().max() < 0.02


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 3, 8), (0,), (4, 0)])
def test_any_shape_gets_a_mask(shape: tuple[int, ...]) -> None:
    mask = byte_mask(torch.Size(shape), 77, CPU)
    assert mask.shape == shape and mask.dtype == torch.bool


@pytest.mark.parametrize("p", [0.001, 0.1, 0.3, 0.5, 0.999])
def test_it_drops_as_often_as_asked_and_keeps_the_mean(p: float) -> None:
    out = Dropout(p)(torch.ones(1000, 1001))
    count = out.numel()
    assert (out == 0).double().mean() == pytest.approx(p, abs=1 / 512 + 5 * math.sqrt(p * (1 - p) / count))
    assert out.double().mean() == pytest.approx(1.0, abs=5 * math.sqrt(p / (1 - p) / count))
    assert len(out.unique()) == 2


@pytest.mark.parametrize("p", [0.1, 0.999])
def test_the_gradient_goes_through_the_same_mask(p: float) -> None:
    x = torch.randn(50, 40, dtype=torch.float64, requires_grad=True)
    out = Dropout(p)(x)
    out.sum().backward()
    torch.testing.assert_close(out, x * x.grad)


def test_two_gradients_of_one_pass_agree() -> None:
    x = torch.randn(50, requires_grad=True)
    out = Dropout(0.5)(x).sum()
    (first,) = torch.autograd.grad(out, x, retain_graph=True)
    assert torch.equal(first, torch.autograd.grad(out, x)[0])


@pytest.mark.parametrize("layer", [Dropout(0.0), Dropout(0.5).eval()])
def test_off_means_untouched(layer: Dropout) -> None:
    x = torch.randn(5)
    assert layer(x) is x


def test_the_seed_decides_and_the_input_is_left_alone() -> None:
    x, layer = torch.randn(3, 4, dtype=torch.bfloat16), Dropout(0.5)
    before = x.clone()
    first = layer(x)
    assert first.dtype == torch.bfloat16
    assert not torch.equal(layer(x), first)
    torch.manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.bfloat16)
    assert torch.equal(layer(x), first) and torch.equal(x, before)


def test_a_transposed_input_is_dropped_in_its_own_places() -> None:
    x = torch.randn(6, 4).t()
    out = Dropout(0.5)(x)
    kept = out != 0
    torch.testing.assert_close(out[kept], 2 * x[kept])

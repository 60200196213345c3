"""Positions against their formulas, written out with `math.sin`."""

import math

import pytest
import torch

from allyouneed.nn.positions import LAYOUTS, LearnedPositions, SinusoidalPositions, sinusoids


def loop_sinusoids(length: int, dim: int, layout: str) -> torch.Tensor:
    table = torch.zeros(length, dim, dtype=torch.float64)
    for p in range(length):
        for column in range(dim):
            if layout == "interleaved":
                i, wave = column // 2, (math.sin, math.cos)[column % 2]
            else:
                half = dim // 2 if layout == "tensor2tensor" else (dim + 1) // 2
                i, wave = column % half if column < 2 * half else 0, math.sin if column < half else math.cos
            power = i / max(dim // 2 - 1, 1) if layout == "tensor2tensor" else 2 * i / dim
            table[p, column] = wave(p / 10000**power)
            if layout == "tensor2tensor" and column == 2 * half:  # the odd last column is padding
                table[p, column] = 0.0
    return table


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dim", [2, 3, 4, 7, 16, 33])
def test_the_table_is_the_formula(layout: str, dim: int) -> None:
    torch.testing.assert_close(sinusoids(40, dim, layout), loop_sinusoids(40, dim, layout).float())


def test_far_positions_are_exact() -> None:
    """Made in float32, the angle of position 5000 would be off by 2e-4 already."""
    torch.testing.assert_close(
        sinusoids(5000, 8)[4999], loop_sinusoids(5000, 8, "interleaved")[4999].float(), atol=1e-7, rtol=0
    )


def test_the_halves_are_a_permutation_of_the_papers_columns() -> None:
    paper, halves = sinusoids(30, 16, "interleaved"), sinusoids(30, 16, "halves")
    assert torch.equal(torch.cat([paper[:, 0::2], paper[:, 1::2]], dim=1), halves)
    assert not torch.equal(halves, sinusoids(30, 16, "tensor2tensor"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dim", [8, 64])
def test_the_dot_product_depends_on_the_distance_alone(layout: str, dim: int) -> None:
    table = sinusoids(60, dim, layout).double()
    dots = table @ table.T
    steps = dim / 2 - 1 if layout == "tensor2tensor" else dim / 2
    for distance in (0, 1, 2, 7, 30):
        law = sum(math.cos(distance * 10000 ** (-i / steps)) for i in range(dim // 2))
        diagonal = dots.diagonal(distance)
        torch.testing.assert_close(diagonal, torch.full_like(diagonal, law), atol=1e-5, rtol=0)


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'sideways'.*interleaved, halves, tensor2tensor"):
        sinusoids(4, 4, "sideways")


@pytest.mark.parametrize("positions", [SinusoidalPositions(6, length=4), LearnedPositions(6, 9)])
def test_one_position_equals_its_place_in_the_whole(positions: torch.nn.Module) -> None:
    x = torch.randn(2, 9, 6)
    whole = positions(x)
    assert torch.equal(whole, x + positions.codes(9))
    for place in range(9):
        assert torch.equal(positions.at(x[:, place : place + 1], place), whole[:, place : place + 1])


def test_the_table_grows_and_is_not_saved() -> None:
    positions = SinusoidalPositions(6, length=4)
    grown = positions(torch.zeros(1, 50, 6))
    torch.testing.assert_close(grown[0], sinusoids(50, 6))
    assert not positions.state_dict()


def test_narrow_models_keep_a_wide_table() -> None:
    positions = SinusoidalPositions(6).to(torch.bfloat16)
    assert positions.table.dtype == torch.float32
    assert torch.equal(positions.table, sinusoids(512, 6))
    assert positions(torch.zeros(1, 3, 6, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_a_model_laid_out_on_the_meta_device_gets_its_table_back() -> None:
    with torch.device("meta"):
        positions = SinusoidalPositions(6)
    positions.to_empty(device="cpu")
    assert torch.equal(positions.table, sinusoids(512, 6))


def test_learned_positions() -> None:
    positions = LearnedPositions(6, 5)
    positions(torch.zeros(2, 3, 6)).sum().backward()
    assert positions.table.grad[:, 0].tolist() == [2, 2, 2, 0, 0]  # a sum over the batch, and only where there is text
    with pytest.raises(ValueError, match="6 tokens is longer than the 5 learned positions"):
        positions(torch.zeros(1, 6, 6))

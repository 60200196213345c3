"""Shuffle-exchange networks against wiring by hand, switches against loops over numbers, and counts from the papers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allyouneed.models import residual_shuffle_exchange as residual
from allyouneed.models import shuffle_exchange as plain
from allyouneed.nn.layer import Context
from allyouneed.nn.shuffle import (
    LengthNorm,
    ResidualSwitchUnit,
    ShuffleExchange,
    SwitchUnit,
    padded_length,
    shuffle,
    unshuffle,
)

NOWHERE = Context()
PAGES = pytest.mark.parametrize("page", [plain, residual], ids=["plain", "residual"])


def numbered(n: int) -> Tensor:
    return torch.arange(n)[None, :, None]


def unit_of(page: Any, dim: int, linked: bool = False) -> nn.Module:
    """A switch with random weights, the biases and the offset too."""
    unit = SwitchUnit(dim, linked) if page is plain else ResidualSwitchUnit(dim, LengthNorm)
    for parameter in unit.parameters():
        nn.init.normal_(parameter, std=0.5)
    return unit.double()


def built(page: Any, **changes: Any) -> nn.Module:
    config = page.tagger.__annotations__["c"]
    numbers = {"vocab_size": 16, "dim": 6, "dropout": 0.0, **changes}
    return page.tagger(config(**numbers)).double().eval()


# ---- wiring


def test_wiring_by_hand() -> None:
    assert unshuffle(numbered(8)).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert shuffle(numbered(8)).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert unshuffle(numbered(16)).flatten().tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]
    assert shuffle(numbered(16)).flatten().tolist() == [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]


@pytest.mark.parametrize("bits", [1, 2, 3, 6])
def test_wiring_is_a_rotation_of_the_bits(bits: int) -> None:
    n = 1 << bits
    left = [((i << 1) & (n - 1)) | (i >> (bits - 1)) for i in range(n)]
    right = [(i >> 1) | ((i & 1) << (bits - 1)) for i in range(n)]
    assert unshuffle(numbered(n)).flatten().tolist() == left
    assert shuffle(numbered(n)).flatten().tolist() == right


def test_lengths_are_filled_to_powers_of_two() -> None:
    assert [padded_length(n) for n in (1, 2, 3, 4, 5, 8, 9, 64, 65)] == [2, 2, 4, 4, 8, 8, 16, 64, 128]
    assert [padded_length(n, least=8) for n in (1, 5, 8, 9)] == [8, 8, 8, 16]


class Nothing(nn.Module):
    """A switch that changes nothing and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor, earlier: Tensor | None, bits: int) -> Tensor:
        self.calls += 1
        return x


@pytest.mark.parametrize("n", [2, 4, 8, 16, 64])
@pytest.mark.parametrize("blocks", [1, 2])
def test_blocks_bring_the_order_back(n: int, blocks: int) -> None:
    x = torch.randn(2, n, 3)
    assert torch.equal(ShuffleExchange(blocks, lambda _: Nothing())(x, NOWHERE), x)


@pytest.mark.parametrize("n, bits", [(2, 1), (8, 3), (64, 6), (50, 6)])
def test_the_depth_and_who_shares_weights(n: int, bits: int) -> None:
    """2 K (log n - 1) + 1 switches: one unit forth and one back in each block, and the last."""
    network = ShuffleExchange(2, lambda _: Nothing())
    network(torch.randn(1, n, 3), NOWHERE)
    for block in network.blocks:
        assert (block.forth.calls, block.back.calls) == (bits - 1, bits - 1)
    assert network.last.calls == 1


@PAGES
@pytest.mark.parametrize("n", [2, 4, 8, 16, 32])
def test_every_input_reaches_every_output(page: Any, n: int) -> None:
    """By gradient. A residual switch is given a norm over channels: the one over places would let all see all."""
    if page is plain:
        network = ShuffleExchange(1, lambda _: unit_of(plain, 4))
    else:
        network = ShuffleExchange(1, lambda _: ResidualSwitchUnit(4, nn.LayerNorm).double())
    for place in range(n):
        x = torch.randn(1, n, 4).double().requires_grad_()
        network(x, NOWHERE)[0, place].sum().backward()
        assert (x.grad[0].abs().sum(-1) > 0).all()


def test_a_single_layer_reaches_its_neighbour_only() -> None:
    x = torch.randn(1, 8, 4).double().requires_grad_()
    unit_of(plain, 4)(x, None, 3)[0, 2].sum().backward()
    assert (x.grad[0].abs().sum(-1) > 0).tolist() == [False, False, True, True, False, False, False, False]


# ---- switches


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def affine(layer: nn.Linear, x: list[float]) -> list[float]:
    bias = [0.0] * layer.out_features if layer.bias is None else layer.bias.tolist()
    return [
        sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(layer.weight.tolist(), bias, strict=True)
    ]


def switch_by_hand(unit: SwitchUnit, one: list[float], two: list[float], before: Any = None) -> list[float]:
    """r1, r2, u from both; two candidates, each behind its own reset; u keeps the pair with its first halves exchanged."""
    m = len(one)
    link = unit.link.tolist() if unit.link is not None else [0.0] * m
    seen = one + two
    if before is not None:
        seen = [s + link[i % m] * e for i, (s, e) in enumerate(zip(seen, before[0] + before[1], strict=True))]
    gates = [sigmoid(g) for g in affine(unit.gates, seen)]
    r1, r2, u = gates[: 2 * m], gates[2 * m : 4 * m], gates[4 * m :]
    c1 = affine(unit.first, [r * s for r, s in zip(r1, seen, strict=True)])
    c2 = affine(unit.second, [r * s for r, s in zip(r2, seen, strict=True)])
    half = m // 2
    kept = two[:half] + one[half:] + one[:half] + two[half:]
    return [g * k + (1 - g) * math.tanh(c) for g, k, c in zip(u, kept, c1 + c2, strict=True)]


@pytest.mark.parametrize("dim", [4, 5])
@pytest.mark.parametrize("linked", [False, True])
def test_a_switch_by_hand(dim: int, linked: bool) -> None:
    unit = unit_of(plain, dim, linked)
    x, before = torch.randn(2, 6, dim).double(), torch.randn(2, 6, dim).double()
    found = unit(x, before if linked else None, 3)
    for text in range(2):
        for place in range(0, 6, 2):
            pair = x[text, place].tolist(), x[text, place + 1].tolist()
            earlier = [before[text, place].tolist(), before[text, place + 1].tolist()] if linked else None
            expected = torch.tensor(switch_by_hand(unit, *pair, earlier)).double()
            torch.testing.assert_close(found[text, place : place + 2].flatten(), expected)


def length_norm_by_hand(rows: list[list[float]], offset: list[float]) -> list[list[float]]:
    """Channel by channel: centred over the places, the offset added, divided by the root of the mean square."""
    columns = []
    for column, shift in zip(zip(*rows, strict=True), offset, strict=True):
        mean = sum(column) / len(column)
        moved = [value - mean + shift for value in column]
        size = math.sqrt(sum(value * value for value in moved) / len(moved) + 1e-10)
        columns.append([value / size for value in moved])
    return [list(row) for row in zip(*columns, strict=True)]


def test_a_residual_switch_by_hand() -> None:
    dim, unit = 3, unit_of(residual, 3)
    x = torch.randn(2, 6, dim).double()
    found = unit(x, None, 3)
    for text in range(2):
        pairs = [x[text, place : place + 2].flatten().tolist() for place in range(0, 6, 2)]
        inner = length_norm_by_hand([affine(unit.inner, pair) for pair in pairs], unit.norm.offset.tolist())
        for i, pair in enumerate(pairs):
            new = affine(unit.outer, [v * sigmoid(1.702 * v) for v in inner[i]])
            gate = [sigmoid(2 * s) for s in unit.residual.tolist()]
            scale = 0.25 * math.sqrt(1 - 0.9**2)
            expected = [g * p + scale * c for g, p, c in zip(gate, pair, new, strict=True)]
            torch.testing.assert_close(found[text, 2 * i : 2 * i + 2].flatten(), torch.tensor(expected).double())


def test_first_weights() -> None:
    model = built(residual, kept=0.7)
    torch.testing.assert_close(torch.sigmoid(2 * model.encoder.last.residual), torch.full((12,), 0.7).double())
    assert ((model.encoder.last.outer.bias >= 0) & (model.encoder.last.outer.bias <= 0.01)).all()
    model = built(plain, dim=64)
    assert (model.encoder.last.gates.bias == 0.5).all() and (model.encoder.last.first.bias == 0).all()
    bound = math.sqrt(6 / (128 + 128))  # each of the three fused matrices is 2 m x 2 m
    assert bound * 0.95 < model.encoder.last.gates.weight.abs().max() <= bound
    assert model.source(torch.arange(16)[None]).abs().max() <= math.tanh(0.3)


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_residual_network_that_computes_nothing_is_the_identity(blocks: int) -> None:
    """W = 0, B = 0, sigmoid(2 S) = 1."""
    network = ShuffleExchange(blocks, lambda _: ResidualSwitchUnit(4, LengthNorm))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(50.0 if name.endswith("residual") else 0.0)
    x = torch.randn(2, 16, 4)
    assert torch.equal(network(x, NOWHERE), x)


def test_a_plain_network_can_carry_any_channel_anywhere() -> None:
    """Gates wide open and nothing new: every layer exchanges the first halves, and the second halves stay at home."""
    network = ShuffleExchange(1, lambda _: SwitchUnit(4))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(50.0 if name.endswith("gates.bias") else 0.0)
    x = torch.randn(1, 8, 4)
    found = network(x, NOWHERE)
    assert torch.equal(found[..., 2:], x[..., 2:])
    # Five exchanges, each flipping the lowest bit of a place before its bits are rotated: 2 forth, 2 back and the last.
    place = {i: i for i in range(8)}
    for turn in (1, 1, -1, -1, 0):
        for i, at in place.items():
            at ^= 1
            place[i] = at if turn == 0 else ((at >> 1) | (at << 2)) & 7 if turn == 1 else ((at << 1) | (at >> 2)) & 7
    assert torch.equal(found[0, [place[i] for i in range(8)], :2], x[0, :, :2])


def network_by_hand(network: ShuffleExchange, x: Tensor) -> Tensor:
    """The published loop, with places gathered by rotated numbers and the inputs of the block before at hand."""
    n = x.shape[1]
    bits = n.bit_length() - 1
    left = [((i << 1) & (n - 1)) | (i >> (bits - 1)) for i in range(n)]
    right = [(i >> 1) | ((i & 1) << (bits - 1)) for i in range(n)]
    stack: list[Tensor] = []
    for block in network.blocks:
        inputs = []
        for i in range(bits - 1):
            inputs.append(x)
            x = block.forth(x, stack[i] if stack else None, bits)[:, left]
        for i in range(bits - 1):
            inputs.append(x)
            x = block.back(x, stack[bits - 1 + i] if stack else None, bits)[:, right]
        stack = inputs
    return network.last(x, stack[0] if len(network.blocks) > 1 else None, bits)


@PAGES
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_the_network_equals_the_published_loop(page: Any, blocks: int) -> None:
    network = ShuffleExchange(blocks, lambda linked: unit_of(page, 4, linked))
    x = torch.randn(2, 16, 4).double()
    torch.testing.assert_close(network(x, NOWHERE), network_by_hand(network, x))


def test_dropout_is_shared_out_over_the_layers() -> None:
    unit = ResidualSwitchUnit(50, LengthNorm, dropout=0.8)
    x = torch.randn(1, 64, 50)
    for bits in (2, 8):
        dropped = (unit(x, None, bits) == 0).double().mean()
        assert dropped == pytest.approx(0.8 / bits, abs=0.03)
    assert (unit.eval()(x, None, 2) != 0).all()


def test_noise_stands_in_for_dropout() -> None:
    unit, x = SwitchUnit(6, noise=0.01), torch.randn(1, 8, 6)
    still = unit.eval()(x, None, 3)
    factors = unit.train()(x, None, 3) / still - 1
    assert 0.005 < factors.std() < 0.02
    assert torch.equal(SwitchUnit(6).train()(x, None, 3).isfinite(), torch.ones(1, 8, 6, dtype=torch.bool))


# ---- models


@PAGES
def test_filling_up_is_what_the_paper_does(page: Any) -> None:
    """Padding tokens are tokens: five places are answered as the first five of eight that end with padding."""
    model, ids = built(page), torch.randint(4, 16, (2, 5))
    filled = torch.cat([ids, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    assert torch.equal(model.hidden(ids), model.hidden(filled)[:, :5])
    assert torch.equal(model.hidden(filled[:, :7]), model.hidden(filled)[:, :7])
    short = torch.cat([ids[:, :1], torch.zeros(2, 7, dtype=torch.long)], dim=1)
    assert torch.equal(model.hidden(ids[:, :1]), model.hidden(short)[:, :1])  # the least is 8
    whole = torch.cat([filled, torch.zeros(2, 8, dtype=torch.long)], dim=1)
    assert not torch.allclose(model(whole)[:, :5], model(ids))  # the trap: the next power of two is another network


@PAGES
def test_as_a_layer_it_fills_up_with_zeros(page: Any) -> None:
    network = ShuffleExchange(1, lambda _: unit_of(page, 4))
    x = torch.randn(2, 5, 4).double()
    expected = network(torch.cat([x, torch.zeros(2, 3, 4).double()], 1), NOWHERE)[:, :5]
    assert torch.equal(network(x, NOWHERE), expected)


@PAGES
@pytest.mark.parametrize("dim, blocks, printed", [(192, 1, 1.78e6), (192, 2, 2.96e6)], ids=["sorting", "addition"])
def test_parameters_by_the_papers_arithmetic(page: Any, dim: int, blocks: int, printed: float) -> None:
    """Both switches have 16 m^2 + 8 m, three in one block and five in two; a table of symbols and a softmax with biases.

    Linked gated switches have m more each. The residual network's printed sizes are those of sorting and addition.
    """
    with torch.device("meta"):
        model = built(page, vocab_size=13, dim=dim, blocks=blocks, **({"norm": "length"} if page is residual else {}))
    count = sum(parameter.numel() for parameter in model.parameters())
    linked = 3 * dim if page is plain and blocks == 2 else 0
    assert count == (2 * blocks + 1) * (16 * dim**2 + 8 * dim) + 2 * 13 * dim + 13 + linked
    if page is residual:
        assert count == pytest.approx(printed, rel=0.005)


@PAGES
def test_the_same_weights_serve_every_length(page: Any) -> None:
    model = built(page)
    for n in (1, 2, 3, 8, 100, 512):
        assert model(torch.randint(4, 16, (1, n))).shape == (1, n, 16)

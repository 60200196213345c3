"""Feed-forward, norms, wraps, stacks, masks and caches against their definitions written out."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allyouneed.nn.attention import CausalAttend, KeyValues, SelfAttention
from allyouneed.nn.feedforward import ACTIVATIONS, FeedForward
from allyouneed.nn.layer import Context, Layer, PerSentence, Pointwise, select
from allyouneed.nn.masks import causal_mask, combine, padding_mask
from allyouneed.nn.stack import Repeat, Stack
from allyouneed.nn.wrap import Norm, PostNorm, PreNorm, TokenBatchNorm, layer_norm, token_batch_norm

NOWHERE = Context()
LOOPS = {
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + math.exp(-x)),
}


def loop_norm(x: Tensor, eps: float) -> Tensor:
    """Biased variance over the last axis."""
    rows = []
    for row in x.flatten(0, -2).tolist():
        mean = sum(row) / len(row)
        variance = sum((value - mean) ** 2 for value in row) / len(row)
        rows.append([(value - mean) / math.sqrt(variance + eps) for value in row])
    return torch.tensor(rows, dtype=x.dtype).view(x.shape)


class Times(Pointwise):
    """A layer whose output can be told by eye."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return x * self.factor


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_feed_forward_is_two_maps_at_each_position(activation: str) -> None:
    layer, x = FeedForward(4, 6, activation).double(), torch.randn(2, 3, 4).double()
    expected = torch.zeros_like(x)
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        inner = [
            LOOPS[activation](sum(w * v for w, v in zip(row, x[b, n].tolist(), strict=True)) + bias)
            for row, bias in zip(layer.inner.weight.tolist(), layer.inner.bias.tolist(), strict=True)
        ]
        expected[b, n] = layer.outer.weight @ torch.tensor(inner).double() + layer.outer.bias
    torch.testing.assert_close(layer(x, NOWHERE), expected)


def test_activations_all_have_a_formula_here() -> None:
    assert set(LOOPS) == set(ACTIVATIONS)


@pytest.mark.parametrize("eps", [1e-5, 1e-1])
def test_layer_norm_by_hand(eps: float) -> None:
    layer, x = Norm(5, eps).double(), torch.randn(2, 3, 5).double()
    nn.init.normal_(layer.norm.weight), nn.init.normal_(layer.norm.bias)
    torch.testing.assert_close(layer(x, NOWHERE), loop_norm(x, eps) * layer.norm.weight + layer.norm.bias)


def test_token_batch_norm_by_hand() -> None:
    """Each feature is normalised over all tokens of all sentences."""
    x = torch.randn(2, 3, 5).double()
    expected = loop_norm(x.flatten(0, 1).T.contiguous(), 1e-5).T.reshape(2, 3, 5)
    torch.testing.assert_close(TokenBatchNorm(5).double()(x), expected)


def test_padding_and_neighbours_enter_batch_norm_and_not_layer_norm() -> None:
    x = torch.randn(2, 3, 5)
    padded = torch.cat([x, torch.full((2, 2, 5), 7.0)], dim=1)
    batch, layer = token_batch_norm(5)(), layer_norm(5, 1e-5)()
    assert (batch(padded)[:, :3] - batch(x)).abs().max() > 0.1
    torch.testing.assert_close(layer(padded)[:, :3], layer(x), atol=1e-6, rtol=0)
    assert (batch(x)[:1] - batch(x[:1])).abs().max() > 0.1
    torch.testing.assert_close(layer(x)[:1], layer(x[:1]), atol=1e-6, rtol=0)


def test_pre_norm_and_post_norm_by_hand() -> None:
    x, half = torch.randn(2, 3, 4).double(), Times(0.5)
    maker = layer_norm(4, 1e-5)
    torch.testing.assert_close(PreNorm(half, 4, norm=maker).double()(x, NOWHERE), x + 0.5 * loop_norm(x, 1e-5))
    torch.testing.assert_close(PostNorm(half, 4, norm=maker).double()(x, NOWHERE), loop_norm(x + 0.5 * x, 1e-5))


@pytest.mark.parametrize("wrap", [PreNorm, PostNorm])
def test_dropout_falls_on_the_sublayers_output_alone(wrap: type) -> None:
    x = torch.randn(2, 30, 40).double()
    layer = wrap(Times(1000.0), 40, dropout=0.5, norm=nn.Identity).double()
    out = layer(x, NOWHERE)
    dropped = (out == x).double().mean()  # where the sublayer's output is dropped the residual is all there is
    assert 0.4 < dropped < 0.6
    torch.testing.assert_close(out[out != x], (x + 2000 * x)[out != x])


def test_a_stack_is_its_order_and_its_names_say_so() -> None:
    stack = Stack("aba", a=lambda: Times(2.0), b=lambda: Times(5.0))
    x = torch.ones(1, 2, 3).double()
    assert [layer[0, 0, 0].item() for layer in stack.each(x, NOWHERE)] == [2, 10, 20]
    assert stack(x, NOWHERE)[0, 0, 0] == 20
    assert list(stack.state_dict()) == ["layers.0a.factor", "layers.1b.factor", "layers.2a.factor"]
    assert len({id(parameter) for parameter in stack.parameters()}) == 3  # makers, so weights of their own


def test_an_empty_order_is_the_identity() -> None:
    x = torch.randn(1, 2, 3)
    assert Stack("")(x, NOWHERE) is x


def test_an_unknown_letter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'abz' has the letter 'z'.*it knows a, b"):
        Stack("abz", a=lambda: Times(1.0), b=lambda: Times(1.0))


def test_repeat_shares_its_weights() -> None:
    layer, x = Repeat(Times(2.0), 3), torch.ones(1, 2, 3).double()
    assert layer(x, NOWHERE)[0, 0, 0] == 8
    assert sum(parameter.numel() for parameter in layer.parameters()) == 1
    layer(x, NOWHERE).sum().backward()
    assert layer.layer.factor.grad == 6 * 3 * 2.0**2  # the three turns' gradients add up


def causal_layers() -> dict[str, Layer]:
    attention = lambda: SelfAttention(8, 2, CausalAttend())  # noqa: E731
    return {
        "attention": attention(),
        "norm": Norm(8),
        "feed-forward": FeedForward(8, 12),
        "pre-norm": PreNorm(attention(), 8),
        "post-norm": PostNorm(attention(), 8),
        "stack": Stack("sfn", s=attention, f=lambda: FeedForward(8, 12), n=lambda: Norm(8)),
        "repeat": Repeat(PreNorm(attention(), 8), 3),
        "stack of repeats": Stack("rr", r=lambda: Repeat(PostNorm(attention(), 8), 2)),
    }


@pytest.mark.parametrize("name", causal_layers())
def test_a_step_equals_the_default_step_and_the_forward_pass(name: str) -> None:
    layer, x = causal_layers()[name].double(), torch.randn(2, 5, 8).double()
    whole = layer(x, NOWHERE)
    fast, slow = layer.init_cache(x[:, :0], NOWHERE), Layer.init_cache(layer, x[:, :0], NOWHERE)
    for place in range(5):
        one = x[:, place : place + 1]
        quick, fast = layer.step(one, fast, NOWHERE)
        again, slow = Layer.step(layer, one, slow, NOWHERE)
        torch.testing.assert_close(quick, whole[:, place : place + 1])
        torch.testing.assert_close(again, whole[:, place : place + 1])


def test_masks() -> None:
    assert padding_mask(torch.tensor([[4, 0, 5], [9, 9, 0]]))[:, 0, 0].tolist() == [
        [True, False, True],
        [True, True, False],
    ]
    assert padding_mask(torch.tensor([[4, 9]]), pad=9).tolist() == [[[[True, False]]]]
    for n, m in ((4, 4), (2, 5), (1, 3), (3, 1)):
        expected = [[j - (m - n) <= i for j in range(m)] for i in range(n)]
        assert causal_mask(n, m).tolist() == expected
    one, two = torch.tensor([[True, True, False]]), torch.tensor([[True], [False]])
    assert combine(None, None) is None and combine() is None
    assert combine(one, None) is one
    assert combine(one, None, two).tolist() == [[True, True, False], [False, False, False]]


class Ring:
    """A cache with a layout of its own."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor

    def select(self, rows: Tensor) -> "Ring":
        return Ring(self.tensor[:, rows])


def test_select_reorders_any_tree() -> None:
    rows, sentences = torch.tensor([2, 0, 0]), torch.tensor([1])
    number = torch.arange(6).view(3, 2)
    cache: Any = (number, [KeyValues(number, number + 10), ()], PerSentence((number, number + 20)), Ring(number.T))
    for chosen in (sentences, None):
        picked = select(cache, rows, chosen)
        assert torch.equal(picked[0], number[rows])
        assert type(picked[1]) is list and type(picked[1][0]) is KeyValues and picked[1][1] == ()
        assert torch.equal(picked[1][0].values, number[rows] + 10)
        once = number if chosen is None else number[sentences]
        assert type(picked[2]) is PerSentence and torch.equal(picked[2].tensors[1], once + 20)
        assert torch.equal(picked[3].tensor, number.T[:, rows])

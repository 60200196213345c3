"""Reversible layers against ordinary autograd: outputs, gradients, what is kept, and what is replayed."""

import pytest
import torch
from torch import Tensor, nn

from allyouneed.nn.attention import CausalAttend, SelfAttention
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.layer import Context, Layer, Pointwise
from allyouneed.nn.masks import padding_mask
from allyouneed.nn.reversible import Inside, ReversibleStack, once, run_both_streams

D = 8


class Toss(Pointwise):
    """Adds what chance has drawn and what a comparison has decided, which rounding could turn over."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(D))
        self.made: list[Tensor] = []
        self.seen: list[Tensor] = []

    def decide(self, x: Tensor) -> Tensor:
        self.made.append((x > x.mean()).to(x.dtype))
        return self.made[-1]

    def forward(self, x: Tensor, context: Context) -> Tensor:
        side = once(lambda: self.decide(x))
        self.seen.append(side)
        return x * self.weight * torch.randn(x.shape[1], 1, dtype=x.dtype) * side


def stack(order: str, dropout: float = 0.0) -> ReversibleStack:
    def inside(layer: Layer) -> Layer:
        return Inside(layer, nn.LayerNorm(D), dropout)

    return ReversibleStack(
        order,
        s=lambda: inside(SelfAttention(D, 2, CausalAttend())),
        f=lambda: inside(FeedForward(D, 12, "gelu", dropout)),
        t=lambda: inside(Toss()),
    ).double()


def twin(layers: ReversibleStack, x: Tensor, context: Context) -> Tensor:
    return run_both_streams(x, context, list(layers.layers.values()))


def by_hand(layers: ReversibleStack, x: Tensor, context: Context) -> Tensor:
    """y1 = x1 + f(x2), y2 = x2 + g(y1), written for each pair."""
    x1 = x2 = x
    functions = list(layers.layers.values())
    for i, function in enumerate(functions):
        if i % 2 == 0:
            x1 = x1 + function(x2, context)
        else:
            x2 = x2 + function(x1, context)
    return torch.cat([x1, x2], dim=-1)


@pytest.mark.parametrize("order", ["s", "sf", "sfs", "tfsftt"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_it_is_ordinary_autograd(order: str, dropout: float) -> None:
    layers, x = stack(order, dropout).train(), torch.randn(2, 5, D, dtype=torch.double, requires_grad=True)
    context, weight = Context(mask=padding_mask(torch.tensor([[5] * 5, [5, 5, 5, 0, 0]]))), torch.randn(2, 5, 2 * D)
    results = []
    for run in (lambda: layers(x, context), lambda: twin(layers, x, context), lambda: by_hand(layers, x, context)):
        torch.manual_seed(7)
        out = run()
        drawn_after = torch.rand(1)
        grads = torch.autograd.grad((out * weight).sum(), [x, *layers.parameters()])
        results.append((out, drawn_after, *grads))
    for other in results[1:]:
        for ours, plain in zip(results[0], other, strict=True):
            torch.testing.assert_close(ours, plain)


def test_a_decision_is_remembered_and_not_made_again() -> None:
    layers, x = stack("tf"), torch.randn(2, 5, D, dtype=torch.double, requires_grad=True)
    layers(x, Context()).sum().backward()
    toss = layers.layers["0t"].layer
    assert len(toss.made) == 1 and len(toss.seen) == 2
    assert torch.equal(toss.seen[0], toss.made[0]) and torch.equal(toss.seen[1], toss.made[0])
    layers.eval()(x.detach(), Context())
    assert once(lambda: torch.ones(1)) == 1  # outside a second run it is made


def test_the_backward_pass_leaves_the_generator_where_it_was() -> None:
    layers, x = stack("tftf", 0.2).train(), torch.randn(2, 5, D, dtype=torch.double, requires_grad=True)
    out = layers(x, Context())
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    out.sum().backward()
    assert torch.equal(torch.rand(4), expected)


def kept(depth: int) -> int:
    """Numbers that autograd keeps between the passes."""
    layers, x = stack("sf" * depth), torch.randn(2, 50, D, dtype=torch.double, requires_grad=True)
    own = {p.untyped_storage().data_ptr() for p in layers.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            found[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layers(x, Context())
    return sum(found.values())


def test_what_is_kept_does_not_grow_with_depth() -> None:
    assert kept(1) == kept(6) == 2 * 50 * 2 * D  # the two streams at the end, and nothing else


def test_what_does_not_learn_gets_no_gradient() -> None:
    layers, x = stack("sfsf"), torch.randn(2, 5, D, dtype=torch.double)
    for name, parameter in layers.named_parameters():
        parameter.requires_grad_(name.startswith("layers.2s"))
    layers(x, Context()).square().sum().backward()
    learnt = {name for name, p in layers.named_parameters() if p.grad is not None and p.grad.any()}
    frozen = {name for name, p in layers.named_parameters() if not p.requires_grad}
    assert learnt and learnt.isdisjoint(frozen)


def test_a_layer_that_stands_twice_gets_both_gradients() -> None:
    layers, x = stack("sfsf"), torch.randn(2, 5, D, dtype=torch.double, requires_grad=True)
    layers.layers["3f"] = layers.layers["1f"]
    results = [
        torch.autograd.grad(run.square().sum(), list(layers.parameters()))
        for run in (layers(x, Context()), twin(layers, x, Context()))
    ]
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain)


def test_under_autocast_it_is_ordinary_autograd_but_for_rounding() -> None:
    layers, x = stack("sfsf").float(), torch.randn(2, 5, D, requires_grad=True)
    results = []
    for run in (layers, lambda x, context: twin(layers, x, context)):
        with torch.autocast("cpu", torch.bfloat16):
            out = run(x, Context())
            loss = out.square().sum() + layers.layers["0s"](x, Context()).sum()  # the weights serve outside too
        results.append((out, *torch.autograd.grad(loss, [x, *layers.parameters()])))
    for ours, plain in zip(*results, strict=True):
        assert ours.dtype == plain.dtype
        assert (ours - plain).norm() < 0.03 * plain.norm() + 1e-3


def test_steps_give_what_reading_gives() -> None:
    for order in ("sf", "sfs"):
        layers, x = stack(order), torch.randn(2, 5, D, dtype=torch.double)
        whole, cache = layers(x, Context()), layers.init_cache(x[:, :0], Context())
        for t in range(5):
            out, cache = layers.step(x[:, t : t + 1], cache, Context())
            torch.testing.assert_close(out, whole[:, t : t + 1])

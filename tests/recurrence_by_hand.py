"""The equations of LSTM and GRU once more, for one word of one sentence: what tests of recurrent models compare with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def stirred(model: nn.Module) -> nn.Module:
    """Biases too are drawn: a zero would hide that one is left out."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model.double().eval()


def lstm_by_hand(weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """i, f, o = sigmoid(...), g = tanh(...); c' = f c + i g; h' = o tanh(c')."""
    hidden, cell = state
    i, f, g, o = (
        (weights["weight_ih"] @ x + weights["bias_ih"] + weights["weight_hh"] @ hidden + weights["bias_hh"])
        .view(4, -1)
        .unbind()
    )
    sigmoid = lambda t: 1 / (1 + (-t).exp())  # noqa: E731
    cell = sigmoid(f) * cell + sigmoid(i) * g.tanh()
    return sigmoid(o) * cell.tanh(), cell


def gru_by_hand(weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """r, z = sigmoid(...); n = tanh(W x + b + r (U h + c)), reset after the matrix; h' = (1 - z) n + z h."""
    (hidden,) = state
    below = (weights["weight_ih"] @ x + weights["bias_ih"]).view(3, -1)
    own = (weights["weight_hh"] @ hidden + weights["bias_hh"]).view(3, -1)
    sigmoid = lambda t: 1 / (1 + (-t).exp())  # noqa: E731
    r, z = sigmoid(below[0] + own[0]), sigmoid(below[1] + own[1])
    n = (below[2] + r * own[2]).tanh()
    return ((1 - z) * n + z * hidden,)


Hand = Callable[[dict[str, Tensor], Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]
HANDS: dict[str, Hand] = {"lstm": lstm_by_hand, "gru": gru_by_hand}


def at(model: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The weights below a name, the prefix taken off."""
    return {name.removeprefix(prefix): t for name, t in model.state_dict().items() if name.startswith(prefix)}


def read(hand: Hand, weights: dict[str, Tensor], words: Tensor, state: tuple[Tensor, ...]) -> Tensor:  # n d -> n h
    states = []
    for word in words:
        state = hand(weights, word, state)
        states.append(state[0])
    return torch.stack(states)

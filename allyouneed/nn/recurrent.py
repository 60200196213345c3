"""Recurrence: layers that read from left to right and carry a state, the Transformer's rival.

A step costs as much as any other position, whatever lies before it: the cache is the state alone. The price is paid in
training: position t waits for position t - 1, n steps one after another (Vaswani et al. 2017, table 1).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.convolution import real
from allyouneed.nn.layer import Context, Layer


class LSTMState(NamedTuple):
    """What an LSTM keeps of all it has read."""

    hidden: Tensor  # r d
    cell: Tensor  # r d


class GRUState(NamedTuple):
    """What a GRU keeps of all it has read."""

    hidden: Tensor  # r d


class LSTMCell(nn.LSTMCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with the forget gate of Gers et al. 2000.

    The forget gate's bias starts at 1, so that the cell remembers before it has learnt to (Jozefowicz et al. 2015).
    torch adds two biases where the equations have one; the second starts at zero.
    """

    State = LSTMState

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__(dim, hidden_dim)
        nn.init.zeros_(self.bias_ih)
        nn.init.zeros_(self.bias_hh)
        nn.init.ones_(self.bias_ih.detach()[hidden_dim : 2 * hidden_dim])  # torch's order: input, forget, cell, output

    def advance(self, below: Tensor, state: LSTMState) -> LSTMState:  # r 4d
        """The next state; `below` is W x + b, what the input says to the gates."""
        gates = (below + F.linear(state.hidden, self.weight_hh, self.bias_hh)).to(state.cell.dtype)
        enter, keep, new, show = gates.chunk(4, dim=-1)
        cell = keep.sigmoid() * state.cell + enter.sigmoid() * new.tanh()
        return LSTMState(show.sigmoid() * cell.tanh(), cell)

    def read(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:  # b n d -> b n d
        """All positions in one call of the library, and the state after them."""
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        start = [part[None] for part in state]
        x, hidden, cell = torch.lstm(x, start, weights, True, 1, 0.0, self.training, False, True)
        return x, LSTMState(hidden[0], cell[0])


class GRUCell(nn.GRUCell):
    """Gated recurrent unit (Cho et al. 2014), as torch computes it.

    The trap: the paper resets the state before its matrix, U (r * h), and torch after it, r * (U h + b), so weights of
    the one (Theano's RNNsearch) are wrong in the other; and torch's update gate is the paper's, but keeps where the
    paper renews.
    """

    State = GRUState

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__(dim, hidden_dim)
        nn.init.zeros_(self.bias_ih)
        nn.init.zeros_(self.bias_hh)

    def advance(self, below: Tensor, state: GRUState) -> GRUState:  # r 3d
        within = F.linear(state.hidden, self.weight_hh, self.bias_hh)
        reset, keep, new = below.to(state.hidden.dtype).chunk(3, dim=-1)
        own_reset, own_keep, own_new = within.to(state.hidden.dtype).chunk(3, dim=-1)
        new = (new + (reset + own_reset).sigmoid() * own_new).tanh()
        return GRUState(new + (keep + own_keep).sigmoid() * (state.hidden - new))

    def read(self, x: Tensor, state: GRUState) -> tuple[Tensor, GRUState]:  # b n d -> b n d
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        x, hidden = torch.gru(x, state.hidden[None], weights, True, 1, 0.0, self.training, False, True)
        return x, GRUState(hidden[0])


Cell = LSTMCell | GRUCell
Advance = Callable[[Any, Tensor], tuple[Any, tuple[Tensor, ...]]]  # state, r d -> next state, outputs


def along(advance: Advance, state: Any, x: Tensor) -> tuple[Tensor, ...]:  # b n d -> each b n ...
    """The outputs of `advance` at each position of `x`, one after another."""
    if torch.compiler.is_compiling():
        # A plain loop would be unrolled, and its graph would hold for texts of one length only.
        from torch._higher_order_ops.scan import scan

        kind = type(state)

        def apart(state: tuple[Tensor, ...], each: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            after, output = advance(kind(*state), each)
            return tuple(after), tuple(part.clone() for part in output)  # a scan may not give one tensor out twice

        start = tuple(part.clone(memory_format=torch.contiguous_format) for part in state)  # nor take one twice
        outputs: tuple[Tensor, ...] = scan(apart, start, x, dim=1)[1]
        return outputs
    found = []
    for each in x.unbind(1):
        state, output = advance(state, each)
        found.append(output)
    return tuple(torch.stack(parts, dim=1) for parts in zip(*found, strict=True))


class Recurrence(Layer):
    """A cell that reads the text from left to right, `b n d -> b n hidden`, from the state that `init_cache` gives."""

    def __init__(self, cell: Cell):
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, context: Context) -> Tensor:
        if not x.shape[1]:  # torch refuses an empty text
            return x.new_zeros(x.shape[0], 0, self.cell.hidden_size)
        state = self.init_cache(x, context)
        if not torch.compiler.is_compiling():
            # The library leaves length before batch, which a linear map after it would multiply row by row.
            return self.cell.read(x, state)[0].contiguous()
        return along(self._advance, state, F.linear(x, self.cell.weight_ih, self.cell.bias_ih))[0]

    def _advance(self, state: Any, below: Tensor) -> tuple[Any, tuple[Tensor, ...]]:
        state = self.cell.advance(below, state)
        return state, (state.hidden,)

    def init_cache(self, x: Tensor, context: Context) -> Any:
        # In the weights' own type: under autocast x is narrow, and a state gathers rounding errors over the whole text.
        nothing = self.cell.weight_hh.new_zeros(x.shape[0], self.cell.hidden_size)
        return self.cell.State(*[nothing] * len(self.cell.State._fields))

    def step(self, x: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        state = self.cell.advance(F.linear(x[:, 0], self.cell.weight_ih, self.cell.bias_ih), cache)
        return state.hidden[:, None], state


def mirrored(mask: Tensor) -> Tensor:  # b 1 1 n -> b n 1
    """Where each place lies when the tokens are read from the last to the first; padding, at the end, stays there."""
    length, places = mask.sum(-1)[:, 0], torch.arange(mask.shape[-1], device=mask.device)  # b 1, n
    return torch.where(places < length, length - 1 - places, places)[..., None]


def turned(x: Tensor, mirror: Tensor) -> Tensor:  # b n d, b n 1 -> b n d
    """`x` by the places of `mirror`. (`take_along_dim` would tie an exported graph to one size.)"""
    return x.gather(1, mirror.expand(-1, -1, x.shape[-1]))


class Bidirectional(Layer):
    """One recurrence to the right and one to the left, side by side (Schuster and Paliwal 1997); padding gives zeros.

    The second reads the sentence turned round without its padding, so that it begins at the last token of each.
    """

    def __init__(self, cell: Callable[[int, int], Cell], dim: int, width: int):
        super().__init__()
        self.rightward = Recurrence(cell(dim, width // 2))
        self.leftward = Recurrence(cell(dim, width // 2))

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n width
        assert context.mask is not None, "Reading from the end needs a mask that says where it is."
        mirror = mirrored(context.mask)
        back = turned(self.leftward(turned(x, mirror), context), mirror)
        return real(torch.cat([self.rightward(x, context), back], dim=-1), context.mask)


class LSTM(Recurrence):
    """See `LSTMCell`."""

    def __init__(self, dim: int, hidden_dim: int | None = None):
        super().__init__(LSTMCell(dim, hidden_dim or dim))


class GRU(Recurrence):
    """See `GRUCell`."""

    def __init__(self, dim: int, hidden_dim: int | None = None):
        super().__init__(GRUCell(dim, hidden_dim or dim))


def init_cells(model: nn.Module) -> None:
    """Matrices of all cells, gate by gate: orthogonal on the state, Glorot's on the input."""
    for module in model.modules():
        if isinstance(module, nn.RNNCellBase):
            for gate in module.weight_hh.detach().split(module.hidden_size):
                nn.init.orthogonal_(gate)
            for gate in module.weight_ih.detach().split(module.hidden_size):
                nn.init.xavier_uniform_(gate)

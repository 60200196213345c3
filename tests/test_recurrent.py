"""Recurrences: cells against their equations and torch's, both directions against torch's packed sequences."""

import pytest
import torch
from recurrence_by_hand import HANDS, at, read, stirred
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from allyouneed.nn.layer import Context
from allyouneed.nn.masks import padding_mask
from allyouneed.nn.recurrent import GRU, LSTM, Bidirectional, GRUCell, LSTMCell, Recurrence

CONTEXT = Context()
CELLS = {"lstm": LSTMCell, "gru": GRUCell}
TORCH = {"lstm": nn.LSTM, "gru": nn.GRU}
each_cell = pytest.mark.parametrize("kind", ["lstm", "gru"])


@each_cell
def test_cell_equations_word_by_word(kind: str) -> None:
    layer, x = stirred(Recurrence(CELLS[kind](5, 7))), torch.randn(2, 4, 5).double()
    whole, cache = layer(x, CONTEXT), layer.init_cache(x, CONTEXT)
    nothing = tuple(torch.zeros(7).double() for _ in cache)
    for row in range(2):
        torch.testing.assert_close(whole[row], read(HANDS[kind], at(layer, "cell."), x[row], nothing))
    for place in range(4):
        out, cache = layer.step(x[:, place : place + 1], cache, CONTEXT)
        torch.testing.assert_close(out[:, 0], whole[:, place])


def same_weights(ours: nn.Module, theirs: nn.Module, suffix: str = "_l0") -> None:
    for name, parameter in ours.named_parameters():
        parameter.data.copy_(getattr(theirs, name + suffix))


@each_cell
def test_parity_with_torch_outputs_and_gradients(kind: str) -> None:
    reference, layer = TORCH[kind](5, 7, batch_first=True), Recurrence(CELLS[kind](5, 7))
    same_weights(layer.cell, reference)
    x = torch.randn(3, 6, 5)
    ours, theirs = layer(x, CONTEXT), reference(x)[0]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for name, parameter in layer.cell.named_parameters():
        torch.testing.assert_close(parameter.grad, getattr(reference, name + "_l0").grad, atol=1e-5, rtol=1e-5)


@each_cell
def test_both_directions_equal_torchs_packed_sequences(kind: str) -> None:
    """Sentences of unlike lengths: the leftward reader begins at the last token of each, and padding holds zeros."""
    reference = TORCH[kind](5, 4, batch_first=True, bidirectional=True)
    layer, lengths = Bidirectional(CELLS[kind], 5, 8), torch.tensor([6, 1, 4])
    same_weights(layer.rightward.cell, reference)
    same_weights(layer.leftward.cell, reference, "_l0_reverse")
    x, ids = torch.randn(3, 6, 5), (torch.arange(6) < lengths[:, None]).long()
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    theirs = pad_packed_sequence(reference(packed)[0], batch_first=True)[0]
    ours = layer(x, Context(mask=padding_mask(ids)))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for name, parameter in layer.leftward.cell.named_parameters():
        torch.testing.assert_close(parameter.grad, getattr(reference, name + "_l0_reverse").grad, atol=1e-5, rtol=1e-5)


def test_an_lstm_remembers_at_first_and_an_empty_text_is_allowed() -> None:
    cell = LSTM(6).cell
    gates = (cell.bias_ih + cell.bias_hh).view(4, 6)  # input, forget, cell, output
    assert gates[1].eq(1).all() and not gates[[0, 2, 3]].any()
    for layer in (LSTM(6, 9), GRU(6, 9)):
        assert layer(torch.zeros(2, 0, 6), CONTEXT).shape == (2, 0, 9)

"""The convolutional translator: gates, multi-step attention and its scalings, against loops over single places."""

import math

import pytest
import torch
from torch import Tensor, nn

from allyouneed.decoding.greedy import greedy
from allyouneed.models.conv import PRESETS, ConvConfig, conv, layers, orders, tagger
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.convolution import CausalGatedConvolution, Convolution, GatedConvolution
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import padding_mask

HALF = math.sqrt(0.5)


def config(**numbers: object) -> ConvConfig:
    """Widths that all differ, so that none can stand in for another."""
    given = dict(vocab_size=20, dim=6, order="5x3 7x5@2", decoder_order="4x3 8x2@3", dropout=0.0)
    return ConvConfig(**(given | numbers))  # type: ignore[arg-type]


def stirred(model: nn.Module) -> nn.Module:
    """Biases and lengths too are drawn: a zero or a one would hide that they are left out."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def ragged() -> tuple[Tensor, Tensor, list[int]]:
    source, target, lengths = torch.randint(4, 20, (3, 6)), torch.randint(4, 20, (3, 5)), [6, 4, 1]
    for row, length in enumerate(lengths):
        source[row, length:] = 0
    return source, target, lengths


# ---- by hand


def weight_and_bias(module: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight normalisation: the length g times the direction v / |v|, for each output."""
    state = module.state_dict()
    length, direction = state["parametrizations.weight.original0"], state["parametrizations.weight.original1"]
    norms = torch.stack([row.square().sum().sqrt() for row in direction])
    return torch.stack([g * v / n for g, v, n in zip(length, direction, norms, strict=True)]), state["bias"]


def linear(module: nn.Module, x: Tensor) -> Tensor:
    if isinstance(module, nn.Identity):
        return x
    weight, bias = weight_and_bias(module)
    return weight @ x + bias


def gated(module: nn.Conv1d, x: list[Tensor], first: int) -> list[Tensor]:
    """a * sigmoid(b) at each place; the kernel's first weight meets the place `first` before it, outside are zeros."""
    (weight, bias), (dilation,) = weight_and_bias(module), module.dilation
    found = []
    for place in range(len(x)):
        total = bias.clone()
        for k in range(weight.shape[2]):
            seen = place - first + k * dilation
            if 0 <= seen < len(x):
                total = total + weight[:, :, k] @ x[seen]
        a, b = total.chunk(2)
        found.append(a / (1 + (-b).exp()))
    return found


def words(side: nn.Module, ids: Tensor) -> list[Tensor]:
    return list(side.embedding.table.weight[ids] + side.positions.table[: len(ids)])


def encoded(model: nn.Module, source: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Keys z and values (z + e) sqrt(1/2) of one sentence without padding."""
    encoder, embedded = model.encoder.encoder, words(model.source, source)
    x = [linear(encoder.enter, e) for e in embedded]
    for convolution, skip in zip(encoder.convolutions, encoder.skips, strict=True):
        (kernel,), (dilation,) = convolution.conv.kernel_size, convolution.conv.dilation
        new = gated(convolution.conv, x, (kernel - 1) // 2 * dilation)
        x = [(n + linear(skip, old)) * HALF for n, old in zip(new, x, strict=True)]
    keys = [linear(encoder.leave, each) for each in x]
    return keys, [(z + e) * HALF for z, e in zip(keys, embedded, strict=True)]


def attended(block: nn.Module, new: Tensor, embedded: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """softmax(q z) over the source with q = (W x + e) sqrt(1/2); the mean of m values, times sqrt(m)."""
    question = (linear(block.query, new) + embedded) * HALF
    powers = [(question @ key).exp() for key in keys]
    mean = sum(power / sum(powers) * value for power, value in zip(powers, values, strict=True))
    return (linear(block.out, mean * math.sqrt(len(keys))) + new) * HALF


def test_the_whole_translator_place_by_place() -> None:
    model = stirred(conv(config(out_dim=3, tie="none")))
    source, target, lengths = ragged()
    hidden = model.hidden(source, target)
    for row, length in enumerate(lengths):
        keys, values = encoded(model, source[row, :length])
        embedded = words(model.target, target[row])
        x = [linear(model.decoder.enter, e) for e in embedded]
        for block in model.decoder.blocks:
            (kernel,), (dilation,) = block.convolution.conv.kernel_size, block.convolution.conv.dilation
            new = gated(block.convolution.conv, x, (kernel - 1) * dilation)  # all of the reach lies to the left
            both = [attended(block, n, e, keys, values) for n, e in zip(new, embedded, strict=True)]
            x = [(b + linear(block.skip, old)) * HALF for b, old in zip(both, x, strict=True)]
        expected = torch.stack([linear(model.decoder.leave, each) for each in x])
        torch.testing.assert_close(hidden[row], expected)


def test_the_tagger_is_the_encoders_keys() -> None:
    model = stirred(tagger(config()))
    source, _, lengths = ragged()
    holder = nn.Module()
    holder.source, holder.encoder = model.source, nn.Module()
    holder.encoder.encoder = model.encoder
    for row, length in enumerate(lengths):
        keys, _ = encoded(holder, source[row, :length])
        torch.testing.assert_close(model.hidden(source)[row, :length], torch.stack(keys))


def test_a_layer_equals_torchs_convolution_with_time_first() -> None:
    """`torch.conv_tbc` is what fairseq runs; its kernels are k in out."""
    layer, x = GatedConvolution(4, 3, out_dim=5).double(), torch.randn(2, 7, 4).double()
    theirs = torch.conv_tbc(
        x.transpose(0, 1).contiguous(), layer.conv.weight.permute(2, 1, 0).contiguous(), layer.conv.bias, 1
    )
    torch.testing.assert_close(layer(x, Context()), nn.functional.glu(theirs.transpose(0, 1), dim=-1))
    causal = CausalGatedConvolution(4, 3, out_dim=5).double()
    theirs = torch.conv_tbc(
        x.transpose(0, 1).contiguous(), causal.conv.weight.permute(2, 1, 0).contiguous(), causal.conv.bias, 2
    )[:-2]
    torch.testing.assert_close(causal(x, Context()), nn.functional.glu(theirs.transpose(0, 1), dim=-1))


# ---- identity cases


def test_an_open_gate_over_the_middle_of_the_kernel_is_the_identity() -> None:
    layer, x = GatedConvolution(4, 3, dilation=2), torch.randn(2, 6, 4)
    nn.init.zeros_(layer.conv.weight)
    layer.conv.weight.data[:4, :, 1] = torch.eye(4)
    layer.conv.bias.data = torch.tensor([0.0] * 4 + [100.0] * 4)
    torch.testing.assert_close(layer(x, Context()), x)
    layer.conv.bias.data[4:] = -100.0
    torch.testing.assert_close(layer(x, Context()), torch.zeros_like(x))


def test_one_word_is_found_whole_whatever_is_asked() -> None:
    model = stirred(conv(config()))
    (_,), (value,) = encoded(model, torch.tensor([7]))
    context = model.encode(torch.tensor([[7]]))
    block, new = model.decoder.blocks[0], torch.randn(1, 1, 4).double()
    looked = block.look(new, torch.zeros_like(new), torch.randn(1, 1, 6).double(), context)
    expected = (linear(block.out, value) + new[0, 0]) * HALF
    torch.testing.assert_close(looked[0, 0], (expected + linear(block.skip, torch.zeros(4).double())) * HALF)


# ---- scalings and first weights


def test_the_encoder_gets_its_part_of_the_gradient_and_the_embeddings_all_theirs() -> None:
    """1 / (2 readers) on what flows into the keys; the values' own embeddings are not scaled."""
    scaled = stirred(conv(config()))
    whole = conv(config()).double()
    whole.load_state_dict(scaled.state_dict())
    assert scaled.encoder.scale == 1 / 4  # two readers
    whole.encoder.scale = 1.0
    source, target, _ = ragged()
    for model in (scaled, whole):
        model.hidden(source, target).square().sum().backward()
    assert torch.equal(scaled.hidden(source, target), whole.hidden(source, target))
    for name, parameter in whole.named_parameters():
        part = 1 / 4 if name.startswith("encoder.") else 1
        if not name.startswith("source."):
            torch.testing.assert_close(scaled.get_parameter(name).grad, part * parameter.grad, msg=name)
    ours, all_of_it = (m.source.positions.table.grad[:6] for m in (scaled, whole))
    assert not torch.allclose(ours, all_of_it) and not torch.allclose(ours, all_of_it / 4)


def test_only_the_length_of_a_map_is_its_length() -> None:
    model, (source, target, _) = stirred(conv(config())), ragged()
    before = model(source, target)
    for name, parameter in model.named_parameters():
        if name.endswith("original1"):
            parameter.data *= 3
    torch.testing.assert_close(model(source, target), before)
    maps = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d)]
    assert maps and all(hasattr(m, "parametrizations") for m in maps)


def test_the_first_weights_keep_the_variance_through_twenty_layers() -> None:
    model = tagger(ConvConfig(vocab_size=24, dim=128, depth=20, dropout=0.0))
    spread, x = [], 0.1 * torch.randn(4, 64, 128)  # as large as embeddings are: there a gate lets half through
    for layer in model.encoder.convolutions:
        layer.register_forward_hook(lambda _, given, out: spread.append(float(out.detach().std())))
    model.encoder(x, Context())
    assert len(spread) == 20 and 0.5 < spread[-1] / spread[0] < 2


# ---- reach, padding, arithmetic


@pytest.mark.parametrize("order, reach", [("8x3*3", 6), ("8x3@1 8x3@2 8x3@4", 14)])
def test_dilation_more_than_doubles_the_reach_at_the_same_cost(order: str, reach: int) -> None:
    inputs: list[Tensor] = []
    model = conv(config(decoder_order=order, positions="none")).double().eval()
    model.target.register_forward_hook(lambda _, __, out: inputs.append(out) or out.retain_grad())
    model.hidden(torch.tensor([[5, 6]]), torch.randint(4, 20, (1, 20)))[0, 19].sum().backward()
    seen = inputs[-1].grad[0].abs().sum(-1) > 0
    assert seen.nonzero()[0, 0] == 19 - reach


def test_what_a_convolution_reads_of_padding_is_zero() -> None:
    layer, x = Convolution(4, 5), torch.randn(1, 6, 4)
    mask = padding_mask(torch.tensor([[1, 1, 1, 0, 0, 0]]))
    torch.testing.assert_close(layer(x, Context(mask=mask))[:, :3], layer(x[:, :3], Context()))


def test_bfloat16_training_stays_close_to_float32() -> None:
    model = conv(config(dim=32, order="32x3*3", decoder_order="32x3*3"))
    source, target, _ = ragged()
    exact = model.hidden(source, target)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = model.hidden(source, target)
        narrow.float().square().sum().backward()
    assert torch.nn.functional.cosine_similarity(narrow.float().flatten(), exact.flatten(), dim=0) > 0.999
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_it_learns_to_turn_a_text_round() -> None:
    model = conv(ConvConfig(vocab_size=10, dim=48, depth=2, dropout=0.0))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(200):
        text = torch.randint(4, 10, (32, 5))
        ids = torch.cat([torch.ones(32, 1, dtype=torch.long), text.flip(1), torch.full((32, 1), 2)], dim=1)
        loss = model.head.loss(model.hidden(text, ids[:, :-1]), ids[:, 1:])
        optimizer.zero_grad()
        (loss.loss / loss.tokens).backward()
        optimizer.step()
    text = torch.randint(4, 10, (20, 5))
    found = greedy(model.eval(), text)
    assert sum(list(f.ids) == row for f, row in zip(found, text.flip(1).tolist(), strict=True)) >= 18


def test_the_default_is_about_as_large_as_the_default_transformer() -> None:
    with torch.device("meta"):
        models = conv(PRESETS["small"]), conv(PRESETS["dilated"]), transformer(TransformerConfig())
    ours, dilated, theirs = (sum(p.numel() for p in model.parameters()) for model in models)
    assert ours == dilated and abs(ours / theirs - 1) < 0.1


# ---- orders


def test_orders_are_read_as_they_are_written() -> None:
    assert layers("512x3*2 2048x1 64x5@4*1") == [(512, 3, 1), (512, 3, 1), (2048, 1, 1), (64, 5, 4)]
    assert orders(ConvConfig(dim=32, kernel=5, depth=2)) == ("32x5*2", "32x5*2")
    assert orders(ConvConfig(hidden_dim=8, depth=1, decoder_order="4x2")) == ("8x3*1", "4x2")


@pytest.mark.parametrize(
    "numbers, sentence",
    [
        ({"order": "5x3 banana"}, "'banana' is no layer of an order"),
        ({"decoder_order": "5x0"}, "'5x0' is no layer"),
        ({"order": "  "}, "without a single layer"),
        ({"order": "5x2"}, "5x2: a kernel of the encoder is odd"),
        ({"out_dim": 4}, "out_dim 4 is not dim 6"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(numbers: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        config(**numbers)
    assert sentence in str(error.value)

"""The laws of DESIGN.md, section 5: one battery that runs on every system of the catalogue without a new test.

A translator is driven through what all of them offer: `model(source, target)`, `init_cache`, `step`, `hidden`, `head`.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from allyouneed.models.catalogue import CATALOGUE, System
from allyouneed.nn.attention import Attend
from allyouneed.nn.fused_loss import fused_cross_entropy
from allyouneed.nn.layer import Layer, select

TRANSLATORS = {name: system for name, system in CATALOGUE.items() if "translation" in system.builds}

battery = pytest.mark.parametrize("system", [pytest.param(system, id=name) for name, system in TRANSLATORS.items()])


WIRINGS: dict[str, list[dict[str, Any]]] = {
    "transformer": [
        {"positions": "learned", "tie": "decoder", "source_vocab_size": 24, "head_bias": True, "activation": "silu"},
        {"norm": "post", "order": "ssffn", "decoder_order": "sscfn", "tie": "none", "scale_embedding": False},
    ],
    "sandwich": [{"decoder_sandwich": 0, "norm": "post"}, {"order": "fs", "decoder_order": "fcsn"}],
    "universal": [
        {"halting": "accumulated", "freeze": True, "norm": "post", "positions": "learned"},
        {"halting": "basic", "positions": "none", "step_codes": "none", "tie": "none", "decoder_order": "scfsf"},
    ],
    "rnn": [
        {"attention": "additive", "out_dim": 6, "tie": "none", "order": "br", "positions": "halves"},
        {"attention": "dot", "cell": "gru", "encoder_dim": 12, "tie": "decoder", "source_vocab_size": 24},
    ],
    "conv": [
        {"positions": "none", "out_dim": 6, "tie": "none"},
        {"order": "8x3@2 8x1", "decoder_order": "8x6", "head_bias": True},
    ],
}
"""What no preset wires and the battery should see all the same."""


def variants(name: str, system: System) -> list[Any]:
    """The tiny config, and it with the wiring of each preset: norms, positions, biases."""
    sizes = {"vocab_size", "dim", "heads", "ffn_dim", "depth", "dropout", "attention_dropout", "activation_dropout"}
    sizes |= {"sandwich", "steps", "hidden_dim", "encoder_dim", "out_dim"} | system.tiny.model_fields_set
    configs = [system.tiny]
    for preset in system.presets.values():
        wiring = {key: value for key, value in preset.model_dump().items() if key not in sizes}
        configs.append(system.config(**{**system.tiny.model_dump(), **wiring}))
    configs += [system.config(**{**system.tiny.model_dump(), **wiring}) for wiring in WIRINGS.get(name, [])]
    return [config for i, config in enumerate(configs) if config not in configs[:i]]


every_wiring = pytest.mark.parametrize(
    "system, config",
    [
        pytest.param(system, config, id=f"{name}-{i}")
        for name, system in TRANSLATORS.items()
        for i, config in enumerate(variants(name, system))
    ],
)


def tokens(*shape: int, vocab: int = 24) -> Tensor:
    """Random real tokens: none is padding, start, end or unknown."""
    return torch.randint(4, vocab, shape)


def padded_batch() -> tuple[Tensor, Tensor]:
    """Three sentences of unlike lengths with their targets: `3 7` and `3 6`."""
    source, target = tokens(3, 7), tokens(3, 6)
    source[1, 4:], source[2, 2:], target[0, 5:], target[2, 3:] = 0, 0, 0, 0
    return source, target


def build(system: System, config: Any) -> nn.Module:
    return system.builds["translation"](config)


def built(system: System, config: Any = None) -> nn.Module:
    return build(system, config or system.tiny).double().eval()


# ---- shapes, gradients, files


@every_wiring
def test_output_shapes(system: System, config: Any) -> None:
    model, (source, target) = built(system, config), padded_batch()
    logits = model(source, target)
    assert logits.shape == (3, 6, 24) and logits.isfinite().all()
    assert model.hidden(source, target).shape == (3, 6, model.head.weight.shape[1])


@every_wiring
def test_every_parameter_receives_a_gradient(system: System, config: Any) -> None:
    model, (source, target) = built(system, config).train(), padded_batch()
    model.head.loss(model.hidden(source, target), target).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    assert all(p.grad.isfinite().all() for p in model.parameters())


@every_wiring
def test_the_state_dict_round_trip(system: System, config: Any) -> None:
    model, other, batch = built(system, config), built(system, config), padded_batch()
    assert not torch.equal(model(*batch), other(*batch))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(*batch), other(*batch))
    twin = copy.deepcopy(model)
    assert torch.equal(model(*batch), twin(*batch))
    assert len(list(twin.parameters())) == len(list(model.parameters()))  # what is tied stays tied


@battery
def test_the_seed_decides_the_weights(system: System) -> None:
    first, second = (torch.manual_seed(3) and build(system, system.tiny) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


# ---- who sees whom


@every_wiring
def test_the_future_never_changes_the_past(system: System, config: Any) -> None:
    """By perturbation, to the last bit: later target tokens change, earlier logits do not."""
    model, (source, target) = built(system, config), padded_batch()
    before = model(source, target)
    for place in range(1, 6):
        changed = target.clone()
        changed[:, place:] = tokens(3, 6 - place)
        assert torch.equal(model(source, changed)[:, :place], before[:, :place])
    changed = target.clone()
    changed[:, 0] = target[:, 0] % 20 + 4
    assert ((model(source, changed) != before).any(-1)).all()  # while the first token reaches all positions


@battery
def test_no_gradient_flows_from_the_past_to_the_future(system: System) -> None:
    model, (source, target) = built(system), padded_batch()
    inputs: list[Tensor] = []
    model.target.register_forward_hook(lambda _, __, out: inputs.append(out) or out.retain_grad())
    for place in range(6):
        inputs.clear()
        model(source, target)[:, place].sum().backward()
        reached = inputs[0].grad.abs().sum(-1) > 0
        assert reached.tolist() == [[column <= place for column in range(6)]] * 3


@every_wiring
def test_padding_never_changes_real_positions(system: System, config: Any) -> None:
    model, source, target = built(system, config), tokens(2, 5), tokens(2, 4)
    alone, more = model(source, target), torch.zeros(2, 3, dtype=torch.long)
    padded = model(torch.cat([source, more], 1), torch.cat([target, more], 1))
    torch.testing.assert_close(padded[:, :4], alone, atol=1e-12, rtol=0)


@battery
def test_what_padding_holds_is_never_read(system: System) -> None:
    model, source = built(system), tokens(2, 5)
    source[:, 3:] = 0
    target = tokens(2, 4)
    before = model.hidden(source, target)
    with torch.no_grad():
        model.source.embedding.table.weight[0] += 100.0
    assert torch.equal(model.hidden(source, target), before)


@every_wiring
def test_rows_of_a_batch_do_not_see_one_another(system: System, config: Any) -> None:
    model, (source, target) = built(system, config), padded_batch()
    before = model(source, target)
    for row in range(3):
        changed_source, changed_target = source.clone(), target.clone()
        changed_source[row], changed_target[row] = tokens(7), tokens(6)
        after, others = model(changed_source, changed_target), [i for i in range(3) if i != row]
        assert torch.equal(after[others], before[others])
        assert not torch.equal(after[row], before[row])


@battery
def test_a_sentence_without_a_single_token_gives_numbers(system: System) -> None:
    model, (source, target) = built(system), padded_batch()
    source[1] = 0
    logits = model(source, target)
    assert logits.isfinite().all()
    logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


# ---- steps


@every_wiring
@pytest.mark.parametrize("learning", [True, False])
def test_step_equals_forward(system: System, config: Any, learning: bool) -> None:
    """With gradients and without, which takes another kernel."""
    model, (source, target) = built(system, config), padded_batch()
    whole = model(source, target)
    with torch.set_grad_enabled(learning):
        cache = model.init_cache(source)
        for place in range(6):
            logits, cache = model.step(target[:, place], cache)
            torch.testing.assert_close(logits, whole[:, place], atol=1e-12, rtol=1e-10)


@every_wiring
def test_step_equals_forward_for_reordered_hypotheses(system: System, config: Any) -> None:
    """Beams: three hypotheses per sentence, reordered among themselves at each step, and a sentence that leaves."""
    model, (source, _) = built(system, config), padded_batch()
    _, cache = model.step(torch.full((3,), 1), model.init_cache(source))
    history = torch.ones(9, 1, dtype=torch.long)
    cache = select(cache, torch.arange(3).repeat_interleave(3))
    for _ in range(3):
        ids, rows = tokens(9), torch.arange(0, 9, 3).repeat_interleave(3) + torch.randint(3, (9,))
        with torch.no_grad():
            logits, cache = model.step(ids, select(cache, rows))
        history = torch.cat([history[rows], ids[:, None]], dim=1)
        expected = model(source.repeat_interleave(3, 0), history)[:, -1]
        torch.testing.assert_close(logits, expected, atol=1e-12, rtol=1e-10)
    stay, rows = torch.tensor([0, 2]), torch.tensor([2, 1, 0, 6, 8, 8])
    ids = tokens(6)
    logits, cache = model.step(ids, select(cache, rows, stay))
    history = torch.cat([history[rows], ids[:, None]], dim=1)
    expected = model(source[stay].repeat_interleave(3, 0), history)[:, -1]
    torch.testing.assert_close(logits, expected, atol=1e-12, rtol=1e-10)


@battery
def test_a_step_leaves_the_cache_it_was_given_alone(system: System) -> None:
    model, (source, target) = built(system).requires_grad_(False), padded_batch()
    _, cache = model.step(target[:, 0], model.init_cache(source))
    before = copy.deepcopy(cache)
    first, _ = model.step(target[:, 1], cache)
    again, _ = model.step(target[:, 1], before)
    model.step(target[:, 2], cache)
    assert torch.equal(model.step(target[:, 1], cache)[0], first) and torch.equal(first, again)


@every_wiring
def test_every_layers_step_equals_the_default_that_reads_the_past_again(system: System, config: Any) -> None:
    model, (source, target) = built(system, config), padded_batch()
    seen: list[tuple[Layer, Tensor, Any]] = []
    layers = [module for module in model.decoder.modules() if isinstance(module, Layer)]
    for layer in layers:
        layer.register_forward_pre_hook(lambda layer, given: seen.append((layer, *given)))
    model(source, target)
    calls, whole = list(seen), model.decoder
    assert {id(layer) for layer, *_ in calls} == {id(layer) for layer in whole.modules() if isinstance(layer, Layer)}
    for layer, x, context in calls:
        fast, slow = layer.init_cache(x[:, :0], context), Layer.init_cache(layer, x[:, :0], context)
        for place in range(x.shape[1]):
            quick, fast = layer.step(x[:, place : place + 1], fast, context)
            again, slow = Layer.step(layer, x[:, place : place + 1], slow, context)
            torch.testing.assert_close(quick, again, atol=1e-12, rtol=1e-10)


# ---- learning


@battery
def test_one_batch_can_be_overfitted(system: System) -> None:
    model, (source, target) = build(system, system.tiny), padded_batch()
    written = torch.cat([torch.ones(3, 1, dtype=torch.long), target[:, :-1]], dim=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        loss = model.head.loss(model.hidden(source, written), target)
        optimizer.zero_grad()
        loss.loss.backward()
        optimizer.step()
    real = target != 0
    assert loss.loss / loss.tokens < 0.05
    assert torch.equal(model.eval()(source, written).argmax(-1)[real], target[real])


# ---- size


def paper_parameters(vocab: int, d: int, f: int, layers: int) -> int:
    """Vaswani et al. 2017, by its equations: one table for source, target and softmax (section 3.4); W_Q, W_K, W_V and
    W_O without biases, heads together d x d each (3.2.2); W_1, b_1, W_2, b_2 (3.3); gain and bias of a LayerNorm after
    each sublayer (3.1); sinusoids hold nothing (3.5).

    The paper prints 65 and 213 million and no arithmetic, and of its vocabulary "about 37000 tokens": so the count is
    exact against this formula, and within 4 % of the printed figures.
    """
    attention, feed, norm = 4 * d * d, d * f + f + f * d + d, 2 * d
    encoder = attention + norm + feed + norm
    decoder = attention + norm + attention + norm + feed + norm
    return vocab * d + layers * (encoder + decoder)


def sandwich_parameters(vocab: int, d: int, f: int, n: int) -> int:
    """Press et al. 2020 on characters: n attentions without biases and n feed-forwards, each with its norm, and a table
    at each end, the last with biases. The printed count has 1 million more: relative positions and spans."""
    return n * (4 * d * d + 2 * d) + n * (d * f + f + f * d + d + 2 * d) + vocab * d + vocab * d + vocab


def universal_parameters(vocab: int, d: int, f: int, steps: int) -> int:
    """Dehghani et al. 2019 as tensor2tensor builds it: one layer on each side whatever the steps, one table, a norm at the
    end of each side and a code for each of its steps. The 61 to 62 million are its users' count (tensor2tensor#1240)."""
    return paper_parameters(vocab, d, f, 1) + 2 * 2 * d + 2 * steps * d


def rnn_parameters(vocab: int, d: int, h: int, out: int) -> int:
    """Bahdanau et al. 2015, section A.2, with torch's GRU, which has two biases a gate: both directions of the encoder,
    the start W_s, the decoder's recurrence on word and context, the alignment W_a, U_a, v_a with h columns, and the
    maxout of 2 out from state, word and context. A table for each side and one for the softmax. No count is printed.
    """

    def gru(inputs: int) -> int:
        return 3 * (inputs * h + h * h + 2 * h)

    alignment, maxout = h * h + 2 * h * h + h, (h + d + 2 * h + 1) * 2 * out
    return 2 * gru(d) + h * h + h + gru(d + 2 * h) + alignment + maxout + vocab * (2 * d + out)


def conv_parameters(vocab: int, d: int, widths: list[tuple[int, int]], out: int, positions: int = 1024) -> int:
    """Gehring et al. 2017, sections 3 and 4.2: every map has a matrix or kernel, a bias and, by weight normalisation, a
    length per output; a convolution has twice its width as outputs; where widths change the residual is projected.
    Tables of words and positions on both sides, and one for the softmax. No count is printed.
    """

    def linear(inputs: int, outputs: int) -> int:
        return (inputs + 2) * outputs

    below = [widths[0][0], *(width for width, _ in widths)]
    side = linear(d, below[0])
    side += sum(linear(kernel * before, 2 * width) for before, (width, kernel) in zip(below, widths, strict=False))
    side += sum(linear(a, b) for a, b in zip(below, below[1:], strict=False) if a != b)
    attention = sum(linear(width, d) + linear(d, width) for width, _ in widths)
    ends = linear(below[-1], d) + linear(below[-1], out)
    return 2 * side + attention + ends + vocab * (2 * d + out) + 2 * positions * d


PAPER_SIZES = {
    ("transformer", "paper-base", "translation"): (paper_parameters(37000, 512, 2048, 6), 65e6),
    ("transformer", "paper-big", "translation"): (paper_parameters(37000, 1024, 4096, 6), 213e6),
    ("sandwich", "paper-enwik8", "language-model"): (sandwich_parameters(205, 768, 4096, 24), 209e6),
    ("universal", "t2t-base", "translation"): (universal_parameters(32768, 1024, 4096, 6), 61.5e6),
    ("rnn", "bahdanau", "translation"): (rnn_parameters(30000, 620, 1000, 500), None),
    ("conv", "paper", "translation"): (conv_parameters(40000, 512, [(512, 3)] * 20, 512), None),
    ("conv", "paper-wmt", "translation"): (
        conv_parameters(40000, 768, [(512, 3)] * 9 + [(1024, 3)] * 4 + [(2048, 1)] * 2, 512),
        None,
    ),
}


@pytest.mark.parametrize("name, preset, task", PAPER_SIZES)
def test_the_papers_size_has_the_papers_parameters(name: str, preset: str, task: str) -> None:
    system, (formula, printed) = CATALOGUE[name], PAPER_SIZES[name, preset, task]
    with torch.device("meta"):
        model = system.builds[task](system.presets[preset])
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == formula
    assert printed is None or abs(count / printed - 1) < 0.04


@battery
def test_every_system_has_its_papers_size_in_the_table(system: System) -> None:
    assert any(CATALOGUE[name] is system for name, *_ in PAPER_SIZES)


# ---- compilers


@pytest.fixture
def fresh_compiler() -> None:
    torch.compiler.reset()


@battery
@pytest.mark.parametrize("learning", [True, False])
def test_full_graph_compilation_equals_eager(system: System, learning: bool, fresh_compiler: None) -> None:
    model, (source, target) = built(system), padded_batch()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.set_grad_enabled(learning):
        torch.testing.assert_close(compiled(source, target), model(source, target), atol=1e-12, rtol=1e-10)
    if learning:
        found = torch.autograd.grad(compiled(source, target).square().sum(), list(model.parameters()))
        expected = torch.autograd.grad(model(source, target).square().sum(), list(model.parameters()))
        for ours, eager in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, eager, atol=1e-10, rtol=1e-10)


@battery
def test_full_graph_compilation_of_a_training_step(system: System, fresh_compiler: None) -> None:
    """With dropout and the loss. `head.loss` stays outside: how many rows have a target is not known to a compiler."""
    numbers = system.tiny.model_dump()
    dropouts = {name: 0.1 for name in ("dropout", "attention_dropout") if name in numbers}
    config = system.config(**{**numbers, **dropouts})
    model, (source, target) = build(system, config), padded_batch()

    def loss(source: Tensor, target: Tensor) -> Tensor:
        x = model.hidden(source, target).flatten(0, 1)
        return fused_cross_entropy(x, model.head.weight, model.head.bias, target.flatten())[0]

    torch.compile(loss, backend="eager", fullgraph=True)(source, target).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@battery
def test_export_with_dynamic_sizes_equals_eager(system: System) -> None:
    model, (source, target) = built(system), padded_batch()
    b, m, n = Dim("b", min=2, max=64), Dim("m", min=2, max=256), Dim("n", min=2, max=256)
    exported = export(model, (source, target), dynamic_shapes=({0: b, 1: m}, {0: b, 1: n})).module()
    for shape in ((3, 7, 6), (2, 12, 3), (5, 3, 40)):
        source, target = tokens(*shape[:2]), tokens(shape[0], shape[2])
        source[0, -1:] = 0
        torch.testing.assert_close(exported(source, target), model(source, target), atol=1e-12, rtol=1e-10)


# ---- recording


@every_wiring
@pytest.mark.parametrize("learning", [True, False])
def test_recording_shows_rows_that_sum_to_one_and_changes_nothing(system: System, config: Any, learning: bool) -> None:
    model, (source, target) = built(system, config), padded_batch()
    with torch.set_grad_enabled(learning):
        before = model(source, target)
        maps: list[Tensor] = []
        seen: set[nn.Module] = set()  # a layer that is repeated is seen more than once
        places = [module for module in model.modules() if isinstance(module, Attend)]
        for attend in places:
            attend.register_forward_pre_hook(lambda m, given: maps.append(m.weights(given[0], given[1], *given[3:])))
            attend.register_forward_pre_hook(lambda m, _: seen.add(m))
        assert torch.equal(model(source, target), before)
    assert len(seen) == len(places) > 0
    for weights in maps:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))

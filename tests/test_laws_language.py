"""The laws of DESIGN.md, section 5, for language models: one battery on every system that builds one.

A model is driven through what all of them offer: `model(ids)`, `hidden`, `head`, `init_cache`, `step`.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from allyouneed.decoding.beam import beam
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.penalties import NoPenalty
from allyouneed.decoding.sampling import sample
from allyouneed.models.catalogue import CATALOGUE, System
from allyouneed.nn.attention import Attend
from allyouneed.nn.layer import Layer, select

BOS, EOS = 1, 2
SYSTEMS = {name: system for name, system in CATALOGUE.items() if "language-model" in system.builds}
WIRINGS: dict[str, list[dict[str, Any]]] = {
    "gpt": [
        {"order": "wfwf", "window": 2, "norm": "post"},
        {"order": "ddd", "kernel": 2, "dilations": 2},
        {"order": "fslwvdn", "window": 0, "tie": "none", "head_bias": True},
    ],
    "sandwich": [{"order": "fs", "norm": "post"}],
    "reformer": [
        {"order": "sfhflf", "attention_dropout": 0.1, "activation": "gelu"},
        {"order": "hfl", "ffn_chunk": 4, "buckets": (4, 2), "wrap": True},
    ],
}
"""What no preset wires and the battery should see all the same. The Reformer's texts here fit into one chunk of hashing:
beyond it whom a position sees depends on later ones, which is in the paper's nature (tests/test_lsh.py says how far)."""


def variants(name: str, system: System) -> list[Any]:
    """The tiny config, and it with the wiring of each preset."""
    sizes = {"order", "attention_dropout", "activation_dropout", "sandwich"} | system.tiny.model_fields_set
    configs = [system.tiny]
    for preset in system.presets.values():
        wiring = {key: value for key, value in preset.model_dump().items() if key not in sizes}
        configs.append(system.config(**{**system.tiny.model_dump(), **wiring}))
    configs += [system.config(**{**system.tiny.model_dump(), **wiring}) for wiring in WIRINGS.get(name, [])]
    return [config for i, config in enumerate(configs) if config not in configs[:i]]


battery = pytest.mark.parametrize("system", [pytest.param(system, id=name) for name, system in SYSTEMS.items()])


def marked(name: str, system: System, *marks: Any) -> list[Any]:
    """The tiny config as it is, its wirings with marks."""
    configs = variants(name, system)
    return [pytest.param(system, c, id=f"{name}-{i}", marks=marks if i else ()) for i, c in enumerate(configs)]


every_wiring = pytest.mark.parametrize("system, config", [c for item in SYSTEMS.items() for c in marked(*item)])
one_wiring = pytest.mark.parametrize(  # the others when there is time: compilers need much of it
    "system, config", [c for item in SYSTEMS.items() for c in marked(*item, pytest.mark.slow)]
)


def tokens(*shape: int) -> Tensor:
    """Random real tokens: none is padding, start, end or unknown."""
    return torch.randint(4, 24, shape)


def learner(system: System, config: Any = None) -> nn.Module:
    return system.builds["language-model"](config or system.tiny)


def built(system: System, config: Any = None) -> nn.Module:
    return learner(system, config).double().eval()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)


# ---- shapes, gradients, files


@every_wiring
def test_output_shapes(system: System, config: Any) -> None:
    model, ids = built(system, config), tokens(3, 9)
    logits = model(ids)
    assert logits.shape == (3, 9, 24) and logits.isfinite().all()
    assert torch.equal(model.head.logits(model.hidden(ids)), logits)
    assert all(isinstance(order, str) for order in system.orders(config))


@every_wiring
def test_every_parameter_receives_a_gradient(system: System, config: Any) -> None:
    model, ids = built(system, config).train(), tokens(3, 9)
    model.head.loss(model.hidden(ids), tokens(3, 9)).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    assert all(p.grad.isfinite().all() for p in model.parameters())


@every_wiring
def test_the_state_dict_round_trip(system: System, config: Any) -> None:
    model, other, ids = built(system, config), built(system, config), tokens(3, 9)
    assert not torch.equal(model(ids), other(ids))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(ids), other(ids))
    twin = copy.deepcopy(model)
    assert torch.equal(model(ids), twin(ids))
    assert len(list(twin.parameters())) == len(list(model.parameters()))  # what is tied stays tied


@battery
def test_the_seed_decides_the_weights(system: System) -> None:
    first, second = (torch.manual_seed(3) and learner(system) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


# ---- who sees whom


@every_wiring
def test_the_future_never_changes_the_past(system: System, config: Any) -> None:
    model, ids = built(system, config), tokens(3, 9)
    before = model(ids)
    for place in range(9):
        changed = ids.clone()
        changed[:, place:] = (ids[:, place:] - 3) % 20 + 4
        after = model(changed)
        assert torch.equal(after[:, :place], before[:, :place])
        assert (after[:, place] != before[:, place]).any(-1).all()


@every_wiring
def test_no_gradient_flows_from_the_past_to_the_future(system: System, config: Any) -> None:
    model, ids = built(system, config), tokens(2, 6)
    inputs: list[Tensor] = []
    model.target.register_forward_hook(lambda _, __, out: inputs.append(out) or out.retain_grad())
    for place in range(6):
        inputs.clear()
        model(ids)[:, place].sum().backward()
        reached = inputs[0].grad.abs().sum(-1) > 0
        assert not reached[:, place + 1 :].any() and reached[:, place].all()


@every_wiring
def test_padding_at_the_end_never_changes_real_positions(system: System, config: Any) -> None:
    model, ids = built(system, config), tokens(2, 5)
    padded = model(torch.cat([ids, torch.zeros(2, 4, dtype=torch.long)], 1))
    torch.testing.assert_close(padded[:, :5], model(ids), atol=1e-12, rtol=0)


@every_wiring
def test_rows_of_a_batch_do_not_see_one_another(system: System, config: Any) -> None:
    model, ids = built(system, config), tokens(3, 9)
    before = model(ids)
    for row in range(3):
        changed = ids.clone()
        changed[row] = tokens(9)
        after, others = model(changed), [i for i in range(3) if i != row]
        assert torch.equal(after[others], before[others])
        assert not torch.equal(after[row], before[row])


# ---- steps


@every_wiring
@pytest.mark.parametrize("learning", [True, False])
def test_step_equals_forward(system: System, config: Any, learning: bool) -> None:
    model, ids = built(system, config), tokens(3, 9)
    whole = model(ids)
    with torch.set_grad_enabled(learning):
        cache = model.init_cache(ids[:, :0])
        for place in range(9):
            logits, cache = model.step(ids[:, place], cache)
            close(logits, whole[:, place])


@every_wiring
def test_step_equals_forward_for_reordered_hypotheses(system: System, config: Any) -> None:
    """Beams: three hypotheses per text, reordered among themselves at each step, and a text that leaves."""
    model = built(system, config).requires_grad_(False)
    _, cache = model.step(torch.full((3,), BOS), model.init_cache(torch.zeros(3, 0, dtype=torch.long)))
    history = torch.ones(9, 1, dtype=torch.long)
    cache = select(cache, torch.arange(3).repeat_interleave(3))
    for _ in range(5):
        ids, rows = tokens(9), torch.arange(0, 9, 3).repeat_interleave(3) + torch.randint(3, (9,))
        logits, cache = model.step(ids, select(cache, rows))
        history = torch.cat([history[rows], ids[:, None]], dim=1)
        close(logits, model(history)[:, -1])
    stay, rows, ids = torch.tensor([0, 2]), torch.tensor([2, 1, 0, 6, 8, 8]), tokens(6)
    logits, cache = model.step(ids, select(cache, rows, stay))
    close(logits, model(torch.cat([history[rows], ids[:, None]], dim=1))[:, -1])


@every_wiring
def test_a_step_leaves_the_cache_it_was_given_alone(system: System, config: Any) -> None:
    model, ids = built(system, config).requires_grad_(False), tokens(3, 3)
    _, cache = model.step(ids[:, 0], model.init_cache(ids))
    before = copy.deepcopy(cache)
    first, _ = model.step(ids[:, 1], cache)
    again, _ = model.step(ids[:, 1], before)
    model.step(ids[:, 2], cache)
    assert torch.equal(model.step(ids[:, 1], cache)[0], first) and torch.equal(first, again)


@every_wiring
def test_every_layers_step_equals_the_default_that_reads_the_past_again(system: System, config: Any) -> None:
    model, ids = built(system, config).requires_grad_(False), tokens(3, 7)
    seen: list[tuple[Layer, Tensor, Any]] = []
    layers = [module for module in model.decoder.modules() if isinstance(module, Layer)]
    for layer in layers:
        layer.register_forward_pre_hook(lambda layer, given: seen.append((layer, *given)))
    model(ids)
    calls = list(seen)
    assert {id(layer) for layer, *_ in calls} == {id(layer) for layer in layers}
    for layer, x, context in calls:
        fast, slow = layer.init_cache(x[:, :0], context), Layer.init_cache(layer, x[:, :0], context)
        for place in range(x.shape[1]):
            quick, fast = layer.step(x[:, place : place + 1], fast, context)
            again, slow = Layer.step(layer, x[:, place : place + 1], slow, context)
            close(quick, again)


# ---- decoding


def log_prob(model: nn.Module, ids: list[int]) -> float:
    """Of the tokens and the end after them, read at once."""
    read, write = torch.tensor([[BOS, *ids]]), torch.tensor([[*ids, EOS]])
    return float(model(read).log_softmax(-1).gather(-1, write[..., None]).sum())


@battery
def test_greedy_search_takes_the_best_token_each_time(system: System) -> None:
    model, nothing = built(system).requires_grad_(False), torch.zeros(3, 0, dtype=torch.long)
    prompts = [[5], [], [7, 9, 11]]
    for text, prompt in zip(greedy(model, nothing, max_lengths=8, prefix=prompts), prompts, strict=True):
        expected = list(prompt)
        while len(expected) < 8:
            logits = model(torch.tensor([[BOS, *expected]]))[0, -1]
            logits[:EOS] = -torch.inf
            if (best := int(logits.argmax())) == EOS:
                break
            expected.append(best)
        assert text.ids == expected
        assert text.log_prob == pytest.approx(log_prob(model, expected), abs=1e-4)


@battery
def test_beam_search_finds_what_trying_everything_finds(system: System) -> None:
    model = system.builds["language-model"](system.config(**{**system.tiny.model_dump(), "vocab_size": 6}))
    model, words = model.double().eval().requires_grad_(False), range(3, 6)
    nothing = torch.zeros(2, 0, dtype=torch.long)
    every = [[], *([a] for a in words), *([a, b] for a in words for b in words)]
    best = sorted(every, key=lambda ids: -log_prob(model, ids))[:3]
    found = beam(model, nothing, size=16, n_best=3, penalty=NoPenalty(), max_lengths=2)
    assert [[text.ids for text in texts] for texts in found] == [best, best]
    assert beam(model, nothing, size=1, max_lengths=6)[0][0].ids == greedy(model, nothing, max_lengths=6)[0].ids


@battery
def test_samples_are_as_likely_as_they_say(system: System) -> None:
    model, nothing = built(system).requires_grad_(False), torch.zeros(2, 0, dtype=torch.long)
    texts = sample(model, nothing, n=4, seed=3, max_lengths=6, prefix=[[5, 6], []])
    assert all(text.ids[:2] == [5, 6] for text in texts[0]) and len({tuple(text.ids) for text in texts[1]}) > 1
    for text in (*texts[0], *texts[1]):
        assert text.log_prob == pytest.approx(log_prob(model, text.ids), abs=1e-4)
    again = sample(model, nothing, n=4, seed=3, max_lengths=6, prefix=[[5, 6], []])
    assert again == texts


# ---- learning


@every_wiring
def test_one_batch_can_be_overfitted(system: System, config: Any) -> None:
    model, ids = learner(system, config.model_copy(update={"attention_dropout": 0.0})), tokens(3, 9)
    ids[:, 0] = torch.tensor([4, 5, 6])  # so that what follows can be known from the first word on
    read, write = ids[:, :-1], ids[:, 1:]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = model.head.loss(model.hidden(read), write)
        optimizer.zero_grad()
        loss.loss.backward()
        optimizer.step()
    assert torch.equal(model.eval()(read).argmax(-1), write)


@every_wiring
def test_bfloat16_gives_numbers_near_those_of_float32(system: System, config: Any) -> None:
    model, ids = learner(system, config).eval(), tokens(3, 9)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = model(ids)
        model.head.loss(model.hidden(ids), tokens(3, 9)).loss.backward()
    wide = model(ids)
    assert (narrow.float() - wide).abs().mean() < 0.05 * wide.std()
    assert all(p.grad.isfinite().all() for p in model.parameters())


# ---- compilers


@pytest.fixture
def fresh_compiler() -> None:
    torch.compiler.reset()


@one_wiring
def test_full_graph_compilation_equals_eager(system: System, config: Any, fresh_compiler: None) -> None:
    model, ids = built(system, config), tokens(3, 9)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        close(compiled(ids), model(ids))
    found = torch.autograd.grad(compiled(ids).square().sum(), list(model.parameters()))
    expected = torch.autograd.grad(model(ids).square().sum(), list(model.parameters()))
    for ours, eager in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, eager, atol=1e-9, rtol=1e-9)


@one_wiring
def test_export_with_dynamic_sizes_equals_eager(system: System, config: Any) -> None:
    """Numbers of chunks are checked when a text comes (`prefer_deferred...`), not for all lengths beforehand."""
    model, ids = built(system, config), tokens(3, 9)
    sizes = ({0: Dim("b", min=2, max=64), 1: Dim("n", min=2, max=256)},)
    exported = export(model, (ids,), dynamic_shapes=sizes, prefer_deferred_runtime_asserts_over_guards=True).module()
    for shape in ((3, 9), (2, 3), (5, 40)):
        ids = tokens(*shape)
        close(exported(ids), model(ids))


# ---- recording


@every_wiring
def test_recording_shows_rows_that_sum_to_one_and_changes_nothing(system: System, config: Any) -> None:
    model, ids = built(system, config), tokens(3, 9)
    before = model(ids)
    maps: list[Tensor] = []
    for attend in (module for module in model.modules() if isinstance(module, Attend)):
        attend.register_forward_pre_hook(lambda m, given: maps.append(m.weights(given[0], given[1], *given[3:])))
    assert torch.equal(model(ids), before)
    for weights in maps:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        assert not weights.triu(1).any()

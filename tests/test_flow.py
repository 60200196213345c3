"""The shape flow: what ran, in order, with its shapes; every parameter counted once; nothing left behind."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allyouneed.models.catalogue import CATALOGUE
from allyouneed.nn.dropout import Dropout
from allyouneed.tracing.flow import flow, linked
from allyouneed.tracing.manifest import Layer, Relation, Step

EVERY = [pytest.param(name, task, id=f"{name}-{task}") for name, system in CATALOGUE.items() for task in system.builds]


def given(name: str, task: str) -> tuple[Tensor, ...]:
    if task == "translation":
        return torch.randint(4, 24, (1, 7)), torch.randint(4, 24, (1, 6))
    if task == "image-classification":
        c: Any = CATALOGUE[name].tiny
        return (torch.rand(1, c.channels, c.image_size, c.image_size),)
    return (torch.randint(5, 24, (1, 8)),)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def children(steps: list[Step], place: int) -> Iterator[Step]:
    for step in steps[place + 1 :]:
        if step.depth <= steps[place].depth:
            return
        if step.depth == steps[place].depth + 1:
            yield step


@pytest.mark.parametrize("name, task", EVERY)
def test_every_model_flows(name: str, task: str) -> None:
    """The whole comes first and has all parameters; below each step stand its parts, which have no more than it."""
    model = CATALOGUE[name].builds[task](CATALOGUE[name].tiny)
    inputs = given(name, task)
    steps = flow(model, *inputs)
    whole = steps[0]
    assert (whole.depth, whole.name, whole.kind, whole.input) == (0, "", type(model).__name__, list(inputs[0].shape))
    assert whole.parameters == count(model) == sum(step.parameters for step in children(steps, 0))
    assert [step.depth for step in steps].count(0) == 1
    assert all(b.depth <= a.depth + 1 for a, b in zip(steps, steps[1:]))
    for i, step in enumerate(steps):
        assert sum(part.parameters for part in children(steps, i)) <= step.parameters
        assert step.output, f"{step.name} gave nothing"
    assert len({step.name for step in steps}) == len(steps)


def test_a_network_by_hand() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), Dropout(0.5), nn.Identity(), nn.Linear(4, 2, bias=False))
    steps = flow(net, torch.rand(5, 3))
    assert [(step.name, step.kind, step.depth, step.input, step.output, step.parameters) for step in steps] == [
        ("", "Sequential", 0, [5, 3], [5, 2], 24),
        ("0", "Linear", 1, [5, 3], [5, 4], 16),
        ("1", "ReLU", 1, [5, 4], [5, 4], 0),
        ("4", "Linear", 1, [5, 4], [5, 2], 8),
    ]


def test_what_runs_again_is_named_and_counted_once() -> None:
    layer = nn.Linear(3, 3)
    steps = flow(nn.Sequential(layer, nn.Tanh(), layer), torch.rand(1, 3))
    assert [(step.name, step.parameters) for step in steps] == [("", 12), ("0", 12), ("1", 0), ("0#2", 0)]


def test_the_letters_are_those_of_the_order() -> None:
    system = CATALOGUE["transformer"]
    config: Any = system.tiny.model_copy(update={"order": "ssffn", "decoder_order": "sscfn"})
    steps = flow(system.build(config), *given("transformer", "translation"))
    spelt = {
        side: "".join(step.letter for step in steps if step.name.startswith(side)) for side in ("encoder", "decoder")
    }
    assert spelt == {"encoder": "ssffn", "decoder": "sscfn"}
    assert {step.kind for step in steps if step.letter == "c"} == {"PreNorm"}


def test_shapes_inside_a_translator() -> None:
    system = CATALOGUE["transformer"]  # dim 16, 2 heads, feed-forward 32, vocabulary 24
    steps = {step.name: step for step in flow(system.build(system.tiny), *given("transformer", "translation"))}
    shapes = {name: (step.input, step.output) for name, step in steps.items()}
    assert shapes["encoder.layers.0s.layer.qkv"] == ([1, 7, 16], [1, 7, 48])
    assert shapes["decoder.layers.1c.layer.attend"] == ([1, 2, 6, 8], [1, 2, 6, 8])
    assert shapes["encoder.layers.1f.layer.inner"] == ([1, 7, 16], [1, 7, 32])
    assert shapes["head"] == ([1, 6, 16], [1, 6, 24])
    assert not any("dropout" in name for name in steps)


def test_nothing_is_changed_and_nothing_stays() -> None:
    model = CATALOGUE["cnn"].build(CATALOGUE["cnn"].tiny).train()
    model.get_submodule("head").eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    own = [set(vars(module)) for module in model.modules()]
    flow(model, *given("cnn", "image-classification"))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert [set(vars(module)) for module in model.modules()] == own
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_nothing_stays_after_an_error() -> None:
    model = CATALOGUE["transformer"].build(CATALOGUE["transformer"].tiny)
    with pytest.raises(TypeError):
        flow(model, torch.ones(1, 3, dtype=torch.long))
    assert not any(module._forward_hooks or "logits" in vars(module) for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled() and model.training


def test_modules_of_others() -> None:
    """In evaluation PyTorch runs a whole encoder layer as one function; here its parts are wanted."""
    model = nn.Transformer(16, 2, 2, 1, 32, batch_first=True).eval()
    steps = flow(model, torch.rand(1, 5, 16), torch.rand(1, 4, 16))
    kinds = [step.kind for step in steps]
    assert kinds.count("MultiheadAttention") == 4 and kinds.count("TransformerEncoderLayer") == 2
    assert steps[0].parameters == count(model)
    inner = next(step for step in steps if step.name == "encoder.layers.0.linear1")
    assert (inner.input, inner.output) == ([1, 5, 16], [1, 5, 32])


def test_hugging_face() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=24)
    model = transformers.BertModel(transformers.BertConfig(**sizes))
    steps = flow(model, torch.randint(4, 24, (1, 6)))
    assert steps[0].parameters == count(model) and steps[0].output == [1, 6, 16]
    assert sum(step.kind == "BertLayer" for step in steps) == 2


def test_steps_are_linked_to_what_was_recorded() -> None:
    system = CATALOGUE["transformer"]
    steps = flow(system.build(system.tiny), *given("transformer", "translation"))
    layers = [Layer(module=f"decoder.layers.{i}c.layer.attend", heads=2) for i in (1, 4)]
    relation = Relation(kind="attention", title="cross-attention", queries="target", keys="source", layers=layers)
    found = {step.name: (step.relation, step.layer) for step in linked(steps, {"cross": relation}) if step.relation}
    assert found == {"decoder.layers.1c.layer.attend": ("cross", 0), "decoder.layers.4c.layer.attend": ("cross", 1)}

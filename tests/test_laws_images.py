"""The laws for image classifiers: one battery over every system of the catalogue that answers "image-classification".

A model is driven through what all of them offer: `model(images)` and `head`.
"""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, export

from allyouneed.models.catalogue import CATALOGUE, System
from allyouneed.nn.attention import Attend

TASK = "image-classification"
CLASSIFIERS = {name: system for name, system in CATALOGUE.items() if TASK in system.builds}

WIRINGS: dict[str, list[dict[str, Any]]] = {
    "vit": [
        {"pool": "token", "positions": "1d", "activation": "gelu_tanh", "pre_logits": 6, "dropout": 0.1},
        {"pool": "token", "positions": "2d", "bias": False},
        {"pool": "token", "positions": "relative"},
        {"pool": "mean", "positions": "relative", "attention_dropout": 0.1},
        {"positions": "sincos", "stochastic_depth": 0.1},
        {"positions": "none", "stem": "conv", "order": "ssff"},
        {"stem": "resnet", "resnet": "1", "pool": "token"},
    ],
    "mixer": [{"order": "ttff", "activation": "gelu_tanh", "stochastic_depth": 0.2, "rescale": False}],
    "spach": [
        {"order": "aam"},
        {"order": "p-mm", "shared": True, "stochastic_depth": 0.1},
        {"order": "pam", "bypass": False, "stem": "conv4"},
    ],
    "lambda": [
        {"order": "ll", "intra": 2, "scope": 3},
        {"order": "e-l", "sees": "content", "stem": "deep"},
        {"order": "cl", "sees": "position", "stem": "imagenet", "dropout": 0.1},
    ],
    "cnn": [
        {"norm": "group", "stem": "imagenet", "image_size": 16, "stochastic_depth": 0.1},
        {"order": "c-b", "dropout": 0.1},
    ],
}


def variants(name: str, system: System) -> list[Any]:
    tiny = system.tiny.model_dump()
    return [system.tiny, *(system.config(**{**tiny, **wiring}) for wiring in WIRINGS.get(name, []))]


battery = pytest.mark.parametrize("system", [pytest.param(system, id=name) for name, system in CLASSIFIERS.items()])
every_wiring = pytest.mark.parametrize(
    "system, config",
    [
        pytest.param(system, config, id=f"{name}-{i}")
        for name, system in CLASSIFIERS.items()
        for i, config in enumerate(variants(name, system))
    ],
)


def build(system: System, config: Any) -> nn.Module:
    return system.builds[TASK](config)


def stirred(model: nn.Module) -> nn.Module:
    """With noise on all weights: a head or a gain that starts at zero lets nothing through."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def built(system: System, config: Any = None) -> nn.Module:
    """In float64, stirred, and with statistics of its norms that are not those of the start."""
    model = stirred(build(system, config or system.tiny)).double().train()
    with torch.no_grad():
        model(images(config or system.tiny, 6))
    return model.eval()


def images(config: Any, count: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, config.channels, config.image_size, config.image_size, dtype=dtype)


# ---- shapes, gradients, files


@every_wiring
def test_output_shapes(system: System, config: Any) -> None:
    logits = built(system, config)(images(config))
    assert logits.shape == (3, config.classes) and logits.isfinite().all()


@battery
def test_the_head_is_a_matrix_with_a_row_per_class(system: System) -> None:
    """So that fine-tuning can put another in its place."""
    model, x = built(system), images(system.tiny)
    assert model.head.out_features == system.tiny.classes
    model.head = nn.Linear(model.head.in_features, 2).double()
    assert model(x).shape == (3, 2)


@every_wiring
def test_every_parameter_receives_a_gradient(system: System, config: Any) -> None:
    torch.manual_seed(1)
    model = built(system, config).train()
    for _ in range(4):  # with stochastic depth a layer may be left out for all images of one batch
        model(images(config, 4)).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    assert all(p.grad.isfinite().all() for p in model.parameters())


@every_wiring
def test_the_state_dict_round_trip(system: System, config: Any) -> None:
    model, other, x = built(system, config), built(system, config), images(config)
    assert not torch.equal(model(x), other(x))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(x), other(x))
    assert torch.equal(model(x), copy.deepcopy(model)(x))


@every_wiring
def test_a_model_laid_out_without_memory_takes_the_weights_of_another(system: System, config: Any) -> None:
    """What no file holds, fixed positions and tables of offsets, is made when it moves to a real device."""
    model = built(system, config)
    with torch.device("meta"):
        empty = build(system, config)
    empty = empty.to_empty(device="cpu").double()
    empty.load_state_dict(model.state_dict())
    x = images(config)
    assert torch.equal(empty.eval()(x), model(x))


@battery
def test_the_seed_decides_the_weights(system: System) -> None:
    first, second = (torch.manual_seed(3) and build(system, system.tiny) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


# ---- who sees whom


@every_wiring
def test_rows_of_a_batch_do_not_see_one_another(system: System, config: Any) -> None:
    model, x = built(system, config), images(config)
    before = model(x)
    for row in range(3):
        changed = x.clone()
        changed[row] = images(config, 1)[0]
        after, others = model(changed), [i for i in range(3) if i != row]
        torch.testing.assert_close(after[others], before[others], atol=1e-12, rtol=0)
        assert not torch.allclose(after[row], before[row])


@every_wiring
def test_every_pixel_reaches_the_answer(system: System, config: Any) -> None:
    """In one image of some at least: a rectifier may be shut for a pixel of another."""
    model, x = built(system, config), images(config, 8).requires_grad_()
    model(x).square().sum().backward()
    assert (x.grad != 0).any(0).all()


@every_wiring
def test_recorded_attention_sums_to_one_and_changes_nothing(system: System, config: Any) -> None:
    model, x = built(system, config), images(config)
    before, maps = model(x), []
    places = [module for module in model.modules() if isinstance(module, Attend)]
    for attend in places:
        attend.register_forward_pre_hook(lambda m, given: maps.append(m.weights(given[0], given[1], *given[3:])))
    assert torch.equal(model(x), before) and len(maps) == len(places)
    for weights in maps:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


# ---- learning


@battery
def test_one_batch_can_be_overfitted(system: System) -> None:
    model, x = build(system, system.tiny), images(system.tiny, 8, torch.float32)
    labels = torch.arange(8) % system.tiny.classes
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        loss = F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    assert torch.equal(model.eval()(x).argmax(-1), labels)


@every_wiring
def test_training_in_bfloat16_gives_numbers_near_those_of_float32(system: System, config: Any) -> None:
    """With dropout and stochastic depth, which the seed decides; the stream between layers stays in float32."""
    model, x = stirred(build(system, config)), images(config, 8, torch.float32)
    torch.manual_seed(5)
    expected = model(x)
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(x)
        loss = F.cross_entropy(logits.float(), torch.arange(8) % config.classes)
    loss.backward()
    assert logits.isfinite().all() and all(p.grad.isfinite().all() for p in model.parameters())
    assert (logits - expected).norm() < 0.1 * expected.norm()


# ---- compilers


# A compiler takes seconds for each, so it sees every system once, and attention with a table of its own.
compilers_see = pytest.mark.parametrize(
    "system, config",
    [pytest.param(system, system.tiny, id=name) for name, system in CLASSIFIERS.items()]
    + [pytest.param(CATALOGUE["vit"], variants("vit", CATALOGUE["vit"])[3], id="vit-relative")],
)


@pytest.fixture
def fresh_compiler() -> None:
    torch.compiler.reset()


@compilers_see
def test_full_graph_compilation_equals_eager(system: System, config: Any, fresh_compiler: None) -> None:
    model, x = built(system, config), images(config)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), model(x), atol=1e-11, rtol=1e-9)
    found = torch.autograd.grad(compiled(x).square().sum(), list(model.parameters()))
    expected = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    for ours, eager in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, eager, atol=1e-9, rtol=1e-8)


@battery
def test_full_graph_compilation_of_a_training_step(system: System, fresh_compiler: None) -> None:
    config = system.config(**{**system.tiny.model_dump(), "dropout": 0.1, "stochastic_depth": 0.1})
    model, x = stirred(build(system, config)).train(), images(config, 4, torch.float32)
    torch.compile(model, backend="eager", fullgraph=True)(x).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@compilers_see
def test_export_with_a_dynamic_batch_equals_eager(system: System, config: Any) -> None:
    model = built(system, config)
    exported = export(model, (images(config),), dynamic_shapes=({0: Dim("b", min=2, max=64)},)).module()
    for count in (2, 3, 7):
        x = images(config, count)
        torch.testing.assert_close(exported(x), model(x), atol=1e-11, rtol=1e-9)


# ---- bad input


@pytest.mark.parametrize("name", ["vit", "mixer", "spach"])
def test_an_image_of_another_size_or_colour_is_refused(name: str) -> None:
    system = CATALOGUE[name]
    model, c = build(system, system.tiny), system.tiny
    with pytest.raises(ValueError, match=r"reads maps of 2 x 8 x 8, and was given 2 x 12 x 12"):
        model(torch.randn(1, c.channels, 12, 12))
    with pytest.raises(ValueError, match=r"was given 3 x 8 x 8"):
        model(torch.randn(1, 3, 8, 8))

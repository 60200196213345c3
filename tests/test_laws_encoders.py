"""The laws for encoders of text: one battery for every system of the catalogue that serves "masked-lm".

A model is driven through what all of them offer: `encode`, `pool`, `head`, and a forward pass of ids and segments.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from allyouneed.models.catalogue import CATALOGUE, System
from allyouneed.nn.attention import Attend
from allyouneed.nn.encoder_heads import NOTHING

ENCODERS = {name: system for name, system in CATALOGUE.items() if "masked-lm" in system.builds}
TASKS = ("masked-lm", "text-classification", "tagging", "question-answering")
WIRINGS: dict[str, list[dict[str, Any]]] = {
    "bert": [{"pair": "none", "activation": "relu", "segments": 3}],
    "albert": [{"groups": 2, "inner": 2, "depth": 3, "pair": "none"}],
}

battery = pytest.mark.parametrize("system", [pytest.param(system, id=name) for name, system in ENCODERS.items()])
every_task = pytest.mark.parametrize("task", TASKS)
some_tasks = pytest.mark.parametrize("task", ["masked-lm", "question-answering"])  # two outputs, and a mask


def changed(system: System, **changes: Any) -> Any:
    return system.config(**{**system.tiny.model_dump(), **changes})


def variants(name: str, system: System) -> list[Any]:
    """The tiny config, and it in the wirings that should be seen as well."""
    return [system.tiny, *(changed(system, **wiring) for wiring in WIRINGS.get(name, []))]


every_wiring = pytest.mark.parametrize(
    "system, config",
    [
        pytest.param(system, config, id=f"{name}-{i}")
        for name, system in ENCODERS.items()
        for i, config in enumerate(variants(name, system))
    ],
)


def batch() -> tuple[Tensor, Tensor]:
    """Three texts of unlike lengths, the first two of them pairs: ids and segments, `3 7`."""
    ids = torch.randint(5, 24, (3, 7))
    ids[1, 5:], ids[2, 2:] = 0, 0
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0]])
    return ids, segments


def built(system: System, config: Any = None, task: str = "masked-lm") -> nn.Module:
    """In double width, with weights large enough for every difference to show."""
    model = system.builds[task](config or system.tiny).double().eval()
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            nn.init.normal_(parameter, std=0.3)
    return model


def parts(answer: Any) -> list[Tensor]:
    return [answer] if isinstance(answer, Tensor) else [part for part in answer if part is not None]


def loss(model: nn.Module, task: str, ids: Tensor, segments: Tensor) -> Tensor:
    """What the model learns of the batch, by the task's own loss: the words, classes and spans are arbitrary."""
    hidden = model.encode(ids, segments)
    if task == "text-classification":
        return model.head.loss(model.pool(hidden), torch.tensor([0, 1, 1])).loss
    if task == "question-answering":
        return model.head.loss(hidden, ids != 0, torch.tensor([[1, 3], [0, 2], [1, 1]])).loss
    if task == "tagging":
        return model.head.loss(hidden, (ids % 2).masked_fill(ids == 0, NOTHING)).loss
    words = model.head.loss(hidden, ids.masked_fill(ids == 0, NOTHING)).loss
    if model.pair_head is None:
        return words
    return words + model.pair_head.loss(model.pool(hidden), torch.tensor([0, 1, 1])).loss


# ---- shapes, gradients, files


@every_wiring
def test_output_shapes(system: System, config: Any) -> None:
    ids, segments = batch()
    shapes = {"text-classification": [(3, 2)], "tagging": [(3, 7, 2)], "question-answering": [(3, 7, 2)]}
    shapes["masked-lm"] = [(3, 7, 24)] + ([(3, 2)] if config.pair != "none" else [])
    assert set(TASKS) <= set(system.builds)
    for task in TASKS:
        model = built(system, config, task)
        assert [tuple(part.shape) for part in parts(model(ids, segments))] == shapes[task]
        hidden = model.encode(ids, segments)
        assert hidden.shape == (3, 7, config.dim) and model.pool(hidden).shape == (3, config.dim)
        assert not hidden[ids == 0].any() and hidden.isfinite().all()


@every_task
@every_wiring
def test_every_parameter_receives_a_gradient(system: System, config: Any, task: str) -> None:
    model, (ids, segments) = built(system, config, task).train(), batch()
    loss(model, task, ids, segments).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(p.grad.isfinite().all() for p in model.parameters())


@every_task
@every_wiring
def test_the_state_dict_round_trip(system: System, config: Any, task: str) -> None:
    (model, other), given = (built(system, config, task) for _ in range(2)), batch()
    first = parts(model(*given))
    assert not torch.equal(first[0], parts(other(*given))[0])
    other.load_state_dict(model.state_dict())
    for twin in (other, copy.deepcopy(model)):
        assert all(torch.equal(a, b) for a, b in zip(first, parts(twin(*given)), strict=True))
        assert len(list(twin.parameters())) == len(list(model.parameters()))  # what is tied stays tied


@every_task
@battery
def test_a_body_moves_from_one_task_to_another(system: System, task: str) -> None:
    ids, segments = batch()
    for pair in ("none", system.tiny.pair):
        trained, model = built(system, changed(system, pair=pair)), built(system, task=task)
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        new = model.adopt(trained)
        assert torch.equal(model.encode(ids, segments), trained.encode(ids, segments))
        kept = [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]
        assert new == [name for name in kept if "norm" not in name or "head" in name]
        assert any("pooler" in name for name in new) == (
            pair == "none" and len(list(model.body.pooler.parameters())) > 0
        )


@battery
def test_the_seed_decides_the_weights(system: System) -> None:
    first, second = (torch.manual_seed(3) and system.build(system.tiny) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


# ---- who sees whom


@every_wiring
def test_padding_never_changes_real_positions(system: System, config: Any) -> None:
    model, (ids, segments) = built(system, config), batch()
    more = torch.zeros(3, 4, dtype=torch.long)
    for row, length in enumerate((7, 5, 2)):
        alone = model.encode(ids[row : row + 1, :length], segments[row : row + 1, :length])
        torch.testing.assert_close(model.encode(ids, segments)[row, :length], alone[0], atol=1e-12, rtol=1e-10)
    padded = model(torch.cat([ids, more], 1), torch.cat([segments, more], 1))
    for before, after in zip(parts(model(ids, segments)), parts(padded), strict=True):
        kept = after[:, :7] if after.dim() == 3 else after
        torch.testing.assert_close(kept, before, atol=1e-12, rtol=1e-10)


@battery
def test_what_padding_holds_is_never_read(system: System) -> None:
    model, (ids, segments) = built(system), batch()
    before = model.encode(ids, segments)
    with torch.no_grad():
        model.body.source.embedding.table.weight[0] += 100.0
    assert torch.equal(model.encode(ids, segments), before)
    assert torch.equal(model.encode(ids, segments + (ids == 0).long()), before)


@battery
def test_rows_of_a_batch_do_not_see_one_another(system: System) -> None:
    model, (ids, segments) = built(system), batch()
    before = model.encode(ids, segments)
    for row in range(3):
        other = ids.clone()
        other[row, :4] = torch.randint(5, 24, (4,))
        after, rest = model.encode(other, segments), [i for i in range(3) if i != row]
        torch.testing.assert_close(after[rest], before[rest], atol=1e-12, rtol=1e-10)
        assert not torch.allclose(after[row], before[row])


@battery
def test_every_token_sees_every_other_in_both_directions(system: System) -> None:
    model, ids = built(system), torch.randint(5, 24, (1, 6))
    before = model.encode(ids)
    for place in range(6):
        changed_ids = ids.clone()
        changed_ids[0, place] = (ids[0, place] - 4) % 19 + 5
        assert (model.encode(changed_ids) != before).any(-1).all()


@battery
def test_segments_tell_two_texts_apart_and_none_is_one_text(system: System) -> None:
    model, (ids, segments) = built(system), batch()
    assert not torch.allclose(model.encode(ids, segments), model.encode(ids))
    assert torch.equal(model.encode(ids, torch.zeros_like(ids)), model.encode(ids))


@battery
def test_a_text_without_a_single_token_gives_numbers(system: System) -> None:
    (ids, segments), places = batch(), torch.tensor([0, 2])
    ids[1] = 0
    for task in TASKS:
        model = built(system, task=task)
        answer = parts(model(ids, segments))
        assert all(part.isfinite().all() for part in answer)
        others = parts(model(ids[places], segments[places]))
        for part, other in zip(answer, others, strict=True):
            torch.testing.assert_close(part[places], other, atol=1e-12, rtol=1e-10)


# ---- learning and arithmetic


@every_task
@battery
def test_one_batch_can_be_overfitted(system: System, task: str) -> None:
    model, (ids, segments) = system.builds[task](system.tiny), batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(60):
        value = loss(model, task, ids, segments)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value < 0.3  # a sum over the batch


@every_task
@battery
def test_bfloat16_autocast_is_finite_and_near(system: System, task: str) -> None:
    noisy = changed(system, dropout=0.1, attention_dropout=0.1, head_dropout=0.1)
    model, (ids, segments) = system.builds[task](noisy), batch()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(model, task, ids, segments)
    value.backward()
    assert value.isfinite() and all(p.grad.isfinite().all() for p in model.parameters())
    model = built(system, task=task).float()
    exact = parts(model(ids, segments))
    with torch.autocast("cpu", torch.bfloat16):
        narrow = parts(model(ids, segments))
    for a, b in zip(exact, narrow, strict=True):
        real = a > -1e30
        assert (a - b.float())[real].abs().max() < 0.1 * a[real].abs().max()


# ---- compilers


@some_tasks
@battery
@pytest.mark.parametrize("learning", [True, False])
def test_full_graph_compilation_equals_eager(system: System, task: str, learning: bool) -> None:
    torch.compiler.reset()
    model, given = built(system, task=task), batch()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.set_grad_enabled(learning):
        found, expected = parts(compiled(*given)), parts(model(*given))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)
    if learning:
        real = found[0] > -1e30
        sides = (torch.autograd.grad(part[real].square().sum(), model.body.encoder.parameters())
                 for part in (found[0], expected[0]))  # fmt: skip
        for a, b in zip(*sides, strict=True):
            torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


@some_tasks
@battery
def test_export_with_dynamic_sizes_equals_eager(system: System, task: str) -> None:
    model, (ids, segments) = built(system, task=task), batch()
    shape = {0: Dim("b", min=2, max=64), 1: Dim("n", min=2, max=512)}
    exported = export(model, (ids, segments), dynamic_shapes=(shape, shape)).module()
    for b, n in ((3, 7), (2, 12), (5, 40)):
        ids, segments = torch.randint(5, 24, (b, n)), torch.randint(2, (b, n))
        ids[0, -1] = 0
        for found, expected in zip(parts(exported(ids, segments)), parts(model(ids, segments)), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)


# ---- recording


@every_wiring
def test_recording_shows_rows_that_sum_to_one_and_changes_nothing(system: System, config: Any) -> None:
    model, (ids, segments) = built(system, config), batch()
    before, maps = model.encode(ids, segments), []
    for attend in (module for module in model.modules() if isinstance(module, Attend)):
        attend.register_forward_pre_hook(lambda m, given: maps.append(m.weights(given[0], given[1], *given[3:])))
    assert torch.equal(model.encode(ids, segments), before)
    assert len(maps) == sum(order.count("s") for order in system.orders(config)) > 0
    for weights in maps:
        assert weights.shape == (3, config.heads, 7, 7)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        assert not weights[2, :, :, 2:].any()  # nobody looks at padding

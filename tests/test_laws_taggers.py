"""The laws of DESIGN.md, section 5, for systems that give an answer at each place: `allyouneed train algorithm`.

A tagger is driven through what all of them offer: `model(ids)`, `hidden`, `head`.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allyouneed.models.catalogue import CATALOGUE, System

TAGGERS = {name: system for name, system in CATALOGUE.items() if "algorithm" in system.builds}

WIRINGS: dict[str, list[dict[str, Any]]] = {
    "universal": [
        {"halting": "accumulated", "norm": "post", "step_codes": "learned", "tie": "none"},
        {"halting": "basic", "freeze": True, "positions": "learned", "order": "ssf"},
    ],
    "shuffle_exchange": [{"blocks": 2}],
    "residual_shuffle_exchange": [{"blocks": 2}, {"norm": "length"}],
    "reformer": [
        {"chunk": 2, "local_chunk": 2, "depth": 2},
        {"order": "hfsf", "chunk": 3, "buckets": (4, 2), "ffn_chunk": 3},
    ],
}
"""What the tiny config does not wire and the battery should see all the same."""

READS_PADDING = {"shuffle_exchange", "residual_shuffle_exchange"}
"""Their padding to a power of two is part of the text (specs: no mask anywhere); padding further changes the answer."""


def variants(name: str, system: System) -> list[Any]:
    return [system.config(**{**system.tiny.model_dump(), **wiring}) for wiring in [{}, *WIRINGS.get(name, [])]]


every_wiring = pytest.mark.parametrize(
    "system, config",
    [
        pytest.param(system, config, id=f"{name}-{i}")
        for name, system in TAGGERS.items()
        for i, config in enumerate(variants(name, system))
    ],
)
battery = pytest.mark.parametrize("system", [pytest.param(system, id=name) for name, system in TAGGERS.items()])


def tokens(*shape: int, vocab: int = 24) -> Tensor:
    """Random real tokens: none is padding, start, end or unknown."""
    return torch.randint(4, vocab, shape)


def padded_batch() -> Tensor:  # 3 7
    ids = tokens(3, 7)
    ids[1, 4:], ids[2, 2:] = 0, 0
    return ids


def build(system: System, config: Any) -> nn.Module:
    return system.builds["algorithm"](config)


def built(system: System, config: Any = None) -> nn.Module:
    return build(system, config or system.tiny).double().eval()


@every_wiring
def test_output_shapes(system: System, config: Any) -> None:
    model = built(system, config)
    for b, n in ((3, 7), (1, 1), (2, 16), (1, 33)):
        logits = model(tokens(b, n))
        assert logits.shape == (b, n, 24) and logits.isfinite().all()
        assert model.hidden(tokens(b, n)).shape == (b, n, model.head.weight.shape[1])


@every_wiring
def test_every_parameter_receives_a_gradient(system: System, config: Any) -> None:
    model, ids = built(system, config).train(), padded_batch()
    model.head.loss(model.hidden(ids), ids).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    assert all(p.grad.isfinite().all() for p in model.parameters())


@every_wiring
def test_the_state_dict_round_trip(system: System, config: Any) -> None:
    model, other, ids = built(system, config), built(system, config), padded_batch()
    assert not torch.equal(model(ids), other(ids))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(ids), other(ids))
    twin = copy.deepcopy(model)
    assert torch.equal(model(ids), twin(ids))
    assert len(list(twin.parameters())) == len(list(model.parameters()))  # what is tied stays tied


@battery
def test_the_seed_decides_the_weights(system: System) -> None:
    first, second = (torch.manual_seed(3) and build(system, system.tiny) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@every_wiring
def test_padding_never_changes_real_positions(system: System, config: Any) -> None:
    """Up to the next power of two for the networks that pad by themselves; any for all others."""
    name = next(name for name, entry in TAGGERS.items() if entry is system)
    model, ids = built(system, config), tokens(2, 5)
    alone = model(ids)
    for more in (1, 3) if name in READS_PADDING else (1, 3, 8):
        padded = model(torch.cat([ids, torch.zeros(2, more, dtype=torch.long)], 1))
        torch.testing.assert_close(padded[:, :5], alone, atol=1e-12, rtol=0)


@every_wiring
def test_rows_of_a_batch_do_not_see_one_another(system: System, config: Any) -> None:
    model, ids = built(system, config), padded_batch()
    before = model(ids)
    for row in range(3):
        changed, others = ids.clone(), [i for i in range(3) if i != row]
        changed[row] = tokens(7)
        after = model(changed)
        assert torch.equal(after[others], before[others])
        assert not torch.equal(after[row], before[row])


@every_wiring
def test_every_place_sees_every_other(system: System, config: Any) -> None:
    model, ids = built(system, config), tokens(1, 7)
    before = model(ids)
    for place in range(7):
        changed = ids.clone()
        changed[0, place] = ids[0, place] % 20 + 4
        assert (model(changed) != before).any(-1).all()


@battery
def test_a_text_without_a_single_token_gives_numbers(system: System) -> None:
    model, ids = built(system), padded_batch()
    ids[1] = 0
    logits = model(ids)
    assert logits.isfinite().all()
    logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@battery
def test_one_batch_can_be_overfitted(system: System) -> None:
    """Answers that have nothing to do with their questions."""
    model, ids, target = build(system, system.tiny), padded_batch(), tokens(3, 7)
    target[ids == 0] = 0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        loss = model.head.loss(model.hidden(ids), target)
        optimizer.zero_grad()
        loss.loss.backward()
        optimizer.step()
    real = target != 0
    assert loss.loss / loss.tokens < 0.05
    assert torch.equal(model.eval()(ids).argmax(-1)[real], target[real])


@every_wiring
def test_bfloat16_stays_near_float32(system: System, config: Any) -> None:
    """Under autocast, as training runs: the answers move by what eight bits allow, and gradients are numbers."""
    model, ids = build(system, config).eval(), padded_batch()
    exact = model(ids)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = model(ids).float()
        model.head.loss(model.hidden(ids), ids).loss.backward()
    real = ids != 0
    error = (narrow - exact)[real].square().mean().sqrt() / exact[real].square().mean().sqrt()
    assert error < 0.1
    assert all(p.grad.isfinite().all() for p in model.parameters())

"""Recurrence in depth against loops over single positions, and against what it must equal in special cases."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from allyouneed.models.universal import PRESETS, UniversalConfig, tagger, translator
from allyouneed.nn import pondering
from allyouneed.nn.attention import CausalAttend
from allyouneed.nn.layer import Context, select
from allyouneed.nn.pondering import AdaptiveDepth, Coordinates, FixedDepth, Halting, Ledger, Steps
from allyouneed.nn.positions import LearnedPositions, NoPositions, SinusoidalPositions, sinusoids
from allyouneed.nn.stack import Repeat, Stack
from allyouneed.nn.sublayers import SublayerConfig, sublayers

D = 8
NOWHERE = Context()
UPDATES = ("basic", "accumulated")


def block(order: str = "sf", norm: str = "pre") -> Stack:
    c = SublayerConfig(dim=D, heads=2, ffn_dim=12, norm=norm, dropout=0.0)
    return Stack(order, **sublayers(c, CausalAttend)).double()


def adaptive(update: str = "basic", freeze: bool = False, steps: int = 5, bias: float = -0.5) -> AdaptiveDepth:
    """Random weights, so that positions halt at unlike steps, some only at the limit."""
    coordinates = Coordinates(SinusoidalPositions(D), SinusoidalPositions(D))
    layer = AdaptiveDepth(block(), coordinates, steps, nn.Identity(), D, Halting(update, 0.01, freeze)).double()
    nn.init.normal_(layer.halt.weight, std=0.6), nn.init.constant_(layer.halt.bias, bias)
    return layer


def halting_by_hand(layer: AdaptiveDepth, x: Tensor) -> tuple[Tensor, list[list[int]], list[list[float]]]:
    """tensor2tensor's loop (`universal_transformer_act`), one position and one number at a time, for one text."""
    update, epsilon, freeze = layer.halting
    n, limit = x.shape[1], layer.steps
    spent, steps, remainders = [0.0] * n, [0] * n, [0.0] * n
    state, out = x, [torch.zeros(D).double() for _ in range(n)]
    for step in range(limit):
        if not any(h < 1 - epsilon for h in spent):
            break
        seen = state.clone()
        for i in range(n):
            seen[0, i] += codes(i) + codes(step)
        after, before = layer.block(seen, NOWHERE), list(spent)
        for i in range(n):
            logit = sum(w * v for w, v in zip(layer.halt.weight[0].tolist(), seen[0, i].tolist(), strict=True))
            p = 1 / (1 + math.exp(-logit - layer.halt.bias.item()))
            if before[i] >= 1.0:
                weight = 0.0
            elif spent[i] + p > 1 - epsilon:
                weight = remainders[i] = 1.0 - spent[i]
                spent[i], steps[i] = 1.0, steps[i] + 1
            else:
                weight = p
                spent[i], steps[i] = spent[i] + p, steps[i] + 1
            out[i] = after[0, i] * weight + out[i] * ((1 - weight) if update == "basic" else 1.0)
            if freeze and before[i] >= 1.0:
                after[0, i] = state[0, i]
        state = after
    return torch.stack(out)[None], [steps], [remainders]


def codes(place: int) -> Tensor:
    """Section 2.1: sin(place / 10000^(2j/d)) in even columns, cos in odd ones."""
    return torch.tensor(
        [(math.sin, math.cos)[i % 2](place / 10000 ** (2 * (i // 2) / D)) for i in range(D)], dtype=torch.float64
    )


def steps_of(layer: nn.Module) -> list[Tensor]:
    """What a hook reads from outside, call by call."""
    found: list[Tensor] = []
    for module in layer.modules():
        if isinstance(module, Steps):
            module.register_forward_hook(lambda _, __, steps: found.append(steps))
    return found


# ---- halting


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("bias", [-2.0, -0.5, 1.0])
@torch.no_grad()
def test_halting_equals_a_loop_over_positions(update: str, freeze: bool, bias: float) -> None:
    layer = adaptive(update, freeze, bias=bias)
    x, found = torch.randn(1, 9, D).double(), steps_of(layer)
    thought = layer.think(x, NOWHERE)
    expected, steps, remainders = halting_by_hand(layer, x)
    torch.testing.assert_close(thought.x, expected, atol=1e-6, rtol=0)  # the codes are stored in float32
    assert found[0].tolist() == steps
    torch.testing.assert_close(
        thought.ponder, torch.tensor(steps) + torch.tensor(remainders).double(), atol=1e-6, rtol=0
    )
    assert len(set(steps[0])) > 1 or bias == 1.0


def weights(update: str, probabilities: list[float]) -> list[float]:
    """What each step's state counts for in the end, by states that are told apart by their place."""
    ledger = Ledger.opened(torch.ones(1, 1, dtype=torch.bool), torch.zeros(1).double())
    out = torch.zeros(1, 1, len(probabilities)).double()
    for i, p in enumerate(probabilities):
        weight, ledger = ledger.turn(torch.full((1, 1), p).double(), 0.99)
        state = torch.eye(len(probabilities))[i].double().expand(1, 1, -1)
        out = pondering.UPDATES[update](out, state, weight[..., None])
    return out.flatten().tolist()


def test_the_weights_of_both_updates_by_hand() -> None:
    """p = .5, .3 and a halt: remainder .2. The published update fades what came before: .5 * .7 * .8 = .28."""
    assert weights("accumulated", [0.5, 0.3, 0.9, 0.9]) == pytest.approx([0.5, 0.3, 0.2, 0.0])
    assert weights("basic", [0.5, 0.3, 0.9, 0.9]) == pytest.approx([0.28, 0.24, 0.2, 0.0])
    assert weights("accumulated", [0.73, 0.73]) == pytest.approx([0.73, 0.27])
    assert weights("basic", [0.73, 0.73]) == pytest.approx([0.73 * 0.73, 0.27])  # sum .80
    assert weights("accumulated", [0.1, 0.2]) == pytest.approx([0.1, 0.2])  # stopped by the limit: no remainder


def test_the_books_by_hand() -> None:
    ledger = Ledger.opened(torch.tensor([True, True, False]), torch.zeros(1))
    for p in ([0.5, 1.0, 0.5], [0.3, 0.5, 0.5], [0.9, 0.5, 0.5]):
        _, ledger = ledger.turn(torch.tensor(p), 0.99)
    assert ledger.steps.tolist() == [3, 1, 0] and not ledger.running.any()
    torch.testing.assert_close(ledger.remainder, torch.tensor([0.2, 1.0, 0.0]))
    torch.testing.assert_close(ledger.spent, torch.tensor([1.0, 1.0, 0.0]))


@pytest.mark.parametrize("update", UPDATES)
def test_halting_at_the_first_step_is_one_layer(update: str) -> None:
    layer, x = adaptive(update, bias=50.0), torch.randn(2, 6, D).double()
    once = layer.block(layer.coordinates(x, 0), NOWHERE)
    torch.testing.assert_close(layer(x, NOWHERE), once)
    assert torch.equal(layer.think(x, NOWHERE).ponder, torch.full((2, 6), 2.0).double())  # one step, remainder 1


def test_never_halting_takes_all_steps_and_has_no_remainder() -> None:
    layer, x = adaptive("accumulated", bias=-60.0), torch.randn(2, 6, D).double()
    found = steps_of(layer)
    assert torch.equal(layer.think(x, NOWHERE).ponder, torch.full((2, 6), 5.0).double())
    assert (found[0] == 5).all()


def test_the_remainder_teaches_the_halting_unit() -> None:
    """N has no gradient and R has: by finite differences, where no step changes."""
    layer, x = adaptive(), torch.randn(1, 4, D).double()

    def cost() -> Tensor:
        return layer.think(x, NOWHERE).ponder.sum()

    cost().backward()
    gradient, h = layer.halt.bias.grad.item(), 1e-7
    with torch.no_grad():
        layer.halt.bias += h
        above = cost()
        layer.halt.bias -= 2 * h
    assert gradient == pytest.approx(((above - cost()) / (2 * h)).item(), rel=1e-4)
    assert gradient != 0


@pytest.mark.parametrize("freeze", [False, True])
def test_halting_in_padded_batches(freeze: bool) -> None:
    """A text takes the same steps to the same result alone and in company; padding takes none and costs nothing."""
    model = tagger(config(halting="basic", freeze=freeze, halting_bias=-1.0)).double().eval()
    found = steps_of(model)
    ids = torch.randint(4, 24, (3, 7))
    ids[1, 4:], ids[2, 2:] = 0, 0
    together, cost = model.hidden_and_cost(ids)
    steps = found.pop()
    assert (steps[ids == 0] == 0).all() and (steps[ids != 0] > 0).all()
    costs = []
    for row, length in enumerate((7, 4, 2)):
        alone, own = model.hidden_and_cost(ids[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0], atol=1e-12, rtol=0)
        assert found.pop()[0].tolist() == steps[row, :length].tolist()
        costs.append(own * length)
    torch.testing.assert_close(cost, sum(costs) / 13)


# ---- steps of decoding


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("freeze", [False, True])
@torch.no_grad()
def test_step_equals_forward(update: str, freeze: bool) -> None:
    """For positions of which later ones take more steps than earlier ones, which must then be seen at these steps."""
    layer, x = adaptive(update, freeze), torch.randn(3, 8, D).double()
    found = steps_of(layer)
    whole = layer(x, NOWHERE)
    taken = found.pop()
    assert (taken.diff(dim=1) > 0).any() and (taken.diff(dim=1) < 0).any()
    cache = layer.init_cache(x[:, :0], NOWHERE)
    for place in range(8):
        one, cache = layer.step(x[:, place : place + 1], cache, NOWHERE)
        torch.testing.assert_close(one, whole[:, place : place + 1])
        assert torch.equal(found.pop(), taken[:, place : place + 1])
    assert torch.equal(cache.taken, taken)
    assert torch.equal(select(cache, torch.tensor([2, 0])).taken, taken[[2, 0]])


# ---- a fixed number of steps


def test_without_coordinates_it_is_repeat() -> None:
    inner, x = block(), torch.randn(2, 5, D).double()
    fixed = FixedDepth(inner, Coordinates(NoPositions(), NoPositions()), 3, nn.Identity())
    torch.testing.assert_close(fixed(x, NOWHERE), Repeat(inner, 3)(x, NOWHERE))


def test_coordinates_enter_at_every_step() -> None:
    inner, x = block("f", "post"), torch.randn(1, 5, D).double()
    fixed = FixedDepth(inner, Coordinates(SinusoidalPositions(D), SinusoidalPositions(D)), 3, nn.Identity())
    expected = x
    for step in range(3):
        coordinates = torch.stack([codes(i) + codes(step) for i in range(5)])  # equations 4 and 5
        expected = inner(expected + coordinates, NOWHERE)
    torch.testing.assert_close(fixed(x, NOWHERE), expected, atol=1e-6, rtol=0)


def test_learned_codes_of_steps() -> None:
    steps = LearnedPositions(D, 3)
    coordinates, x = Coordinates(NoPositions(), steps), torch.randn(2, 5, D)
    torch.testing.assert_close(coordinates(x, 2), x + steps.table[2])
    torch.testing.assert_close(coordinates.at(x[:, :1], 4, 2), x[:, :1] + steps.table[2])


def test_random_starts_move_all_positions_alike_and_only_in_training() -> None:
    fixed = FixedDepth(Stack(""), Coordinates(SinusoidalPositions(D), NoPositions(), 50), 2, nn.Identity())
    x, table = torch.zeros(2, 4, D), sinusoids(60, D)
    starts = set()
    for _ in range(20):
        codes = fixed(x, NOWHERE)[0] / 2  # the same start in both steps
        starts.add(next(s for s in range(50) if torch.allclose(codes, table[s : s + 4], atol=1e-6)))
    assert len(starts) > 5
    torch.testing.assert_close(fixed.eval()(x, NOWHERE)[0], 2 * table[:4])


def config(**changes: Any) -> UniversalConfig:
    return UniversalConfig(
        **{"vocab_size": 24, "dim": 16, "heads": 2, "ffn_dim": 32, "steps": 4, "dropout": 0.0, **changes}
    )


def test_parameters_do_not_grow_with_steps() -> None:
    counts = {sum(p.numel() for p in translator(config(steps=steps)).parameters()) for steps in (1, 3, 20)}
    assert len(counts) == 1
    assert {name.split(".")[2] for name, _ in translator(config()).encoder.named_parameters() if "block" in name} == {
        "0s",
        "1f",
    }


def test_more_steps_may_be_taken_than_were_trained() -> None:
    few, many = tagger(config(steps=2)), tagger(config(steps=9))
    many.load_state_dict(few.state_dict())
    assert not torch.allclose(few(torch.full((1, 4), 5)), many(torch.full((1, 4), 5)))


@pytest.mark.parametrize("halting", UPDATES)
def test_the_cost_of_a_translator(halting: str) -> None:
    """The weighted means of N + R over the real positions of both sides, as the hooks and the books say."""
    model = translator(config(halting=halting, ponder_weight=0.5)).double().eval()
    source, target = torch.randint(4, 24, (2, 6)), torch.randint(4, 24, (2, 5))
    source[1, 3:], target[0, 2:] = 0, 0
    hidden, cost = model.hidden_and_cost(source, target)
    assert torch.equal(hidden, model.hidden(source, target))
    context = Context(mask=(source != 0)[:, None, None])
    ponder = model.encoder.think(model.source(source), context).ponder
    memory = model.encode(source)
    written = model.decoder.think(model.target(target), memory).ponder
    expected = 0.5 * (ponder[source != 0].mean() + written[target != 0].mean())
    torch.testing.assert_close(cost, expected)
    cost.backward()
    assert model.encoder.halt.bias.grad.any() and model.decoder.halt.bias.grad.any()


def test_halting_compiles_and_exports_whole() -> None:
    """A graph cannot stop early; it goes all the way to the same result."""
    model = translator(config(halting="accumulated", halting_bias=2.0)).double().eval()
    source, target = torch.randint(4, 24, (3, 6)), torch.randint(4, 24, (3, 5))
    source[1, 3:] = 0
    found = steps_of(model)
    expected = model(source, target)
    assert max(steps.max() for steps in found) < 4  # it does stop early here
    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(source, target), expected, atol=1e-12, rtol=1e-10)
    exported = torch.export.export(model, (source, target)).module()
    torch.testing.assert_close(exported(source, target), expected, atol=1e-12, rtol=1e-10)


def test_first_weights() -> None:
    model = translator(config(halting="basic", step_codes="learned", steps=400, halting_bias=-3.0))
    assert model.encoder.halt.bias.item() == -3.0
    assert model.encoder.coordinates.steps.table.std().item() == pytest.approx(1.0, rel=0.1)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(
        ValidationError, match="order 'sxf' has the letter 'x'; it may have the letters s, f and n only"
    ):
        config(order="sxf")
    with pytest.raises(ValidationError, match="random_start 5 needs positions"):
        config(random_start=5, positions="none")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_built(name: str) -> None:
    with torch.device("meta"):
        assert translator(PRESETS[name]) and tagger(PRESETS[name])

"""Recording from outside: maps that are the model's own, outputs untouched, hooks gone, and never an empty answer."""

import copy
import threading

import pytest
import torch
from torch import nn

from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.nn.attention import Attend, CausalAttend, SelfAttention
from allyouneed.nn.layer import Context
from allyouneed.nn.stack import Repeat
from allyouneed.tracing.record import record

SOURCE = torch.tensor([[5, 6, 7, 8, 2], [9, 10, 2, 0, 0]])
TARGET = torch.tensor([[1, 11, 12, 13], [1, 14, 15, 0]])


@pytest.fixture
def model() -> nn.Module:
    system = CATALOGUE["transformer"]
    return system.build(system.tiny).eval()


def test_maps_have_names_and_shapes_and_sum_to_one(model: nn.Module) -> None:
    with record(model) as seen:
        model(SOURCE, TARGET)
    maps = seen.maps()
    assert list(maps) == [
        "encoder.layers.0s.layer.attend", "encoder.layers.2s.layer.attend",
        "decoder.layers.0s.layer.attend", "decoder.layers.1c.layer.attend",
        "decoder.layers.3s.layer.attend", "decoder.layers.4c.layer.attend",
    ]  # fmt: skip
    assert maps["encoder.layers.0s.layer.attend"].shape == (2, 2, 5, 5)
    assert maps["decoder.layers.1c.layer.attend"].shape == (2, 2, 4, 5)
    for weights in maps.values():
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_the_map_is_what_the_module_did() -> None:
    """Weights times values, made by hand, are the module's output."""
    torch.manual_seed(1)
    attend = CausalAttend()
    q, k, v = (torch.randn(2, 3, 6, 4) for _ in range(3))
    mask = torch.rand(2, 1, 1, 6) > 0.2
    with record(attend) as seen:
        out = attend(q, k, v, mask=mask)
    torch.testing.assert_close(seen.maps()[""] @ v, out)


def test_outputs_are_bit_equal_and_hooks_are_gone(model: nn.Module) -> None:
    before = model(SOURCE, TARGET)
    with record(model) as seen:
        during = model(SOURCE, TARGET)
    assert torch.equal(before, during) and torch.equal(before, model(SOURCE, TARGET))
    assert len(seen.maps()) == 6
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not any(look.q.requires_grad or look.k.requires_grad for look in seen.looks.values())


def test_gradients_are_those_without_a_recorder(model: nn.Module) -> None:
    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(SOURCE, TARGET).square().mean().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    plain = gradients()
    with record(model):
        recorded = gradients()
    assert all(torch.equal(a, b) for a, b in zip(plain, recorded, strict=True))


def test_hooks_are_removed_after_an_exception(model: nn.Module) -> None:
    with pytest.raises(ZeroDivisionError), record(model):
        raise ZeroDivisionError
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_masked_cells_are_known_even_where_a_weight_underflows() -> None:
    attend = CausalAttend()
    q, k = torch.full((1, 1, 3, 1), 1000.0), torch.tensor([1.0, -1.0, 1.0]).view(1, 1, 3, 1)
    mask = torch.tensor([True, True, False]).view(1, 1, 1, 3)
    with record(attend) as seen:
        attend(q, k, torch.ones(1, 1, 3, 1), mask)
    weights, visible = seen.maps()[""][0, 0], seen.visible()[""][0, 0]
    assert weights[1, 1] == 0 and visible[1, 1], "a weight of zero is not a mask"
    assert visible.tolist() == [[True, False, False], [True, True, False], [True, True, False]]


def test_padding_and_future_are_masked(model: nn.Module) -> None:
    with record(model) as seen:
        model(SOURCE, TARGET)
    visible = seen.visible()
    assert not visible["decoder.layers.1c.layer.attend"][1, :, :, 3:].any()
    assert torch.equal(visible["decoder.layers.0s.layer.attend"][0, 0], torch.ones(4, 4, dtype=torch.bool).tril())


def test_a_row_that_sees_nothing_is_zero() -> None:
    attend = Attend()
    q = torch.randn(1, 1, 2, 4)
    with record(attend) as seen:
        attend(q, q, q, torch.zeros(1, 1, 2, 2, dtype=torch.bool))
    assert torch.equal(seen.maps()[""], torch.zeros(1, 1, 2, 2)) and not seen.visible()[""].any()


def test_every_call_is_kept() -> None:
    layer = Repeat(SelfAttention(8, 2), times=3)
    with record(layer) as seen:
        layer(torch.randn(1, 4, 8), Context())
    assert list(seen.maps()) == ["layer.attend", "layer.attend#2", "layer.attend#3"]


def test_decoding_is_recorded_step_by_step(model: nn.Module) -> None:
    with torch.no_grad(), record(model) as seen:
        cache = model.init_cache(SOURCE)
        for token in (1, 11):
            _, cache = model.step(torch.tensor([token, token]), cache)
    assert seen.maps()["decoder.layers.0s.layer.attend#2"].shape == (2, 2, 1, 2)


def test_nothing_to_record_is_an_error() -> None:
    with pytest.raises(UserError, match="nothing to record in Linear"), record(nn.Linear(2, 2)):
        pass


def test_nothing_recorded_is_an_error(model: nn.Module) -> None:
    with pytest.raises(UserError, match="nothing was recorded"), record(model):
        pass
    with pytest.raises(UserError, match="nothing was recorded"), record(model) as seen:
        seen.maps()


@pytest.mark.parametrize("how", ["outside", "inside", "already"])
def test_a_compiled_model_is_an_error(model: nn.Module, how: str) -> None:
    compiled = torch.compile(model, backend="eager")
    if how == "already":
        compiled(SOURCE, TARGET)
    with pytest.raises(UserError, match=r"torch\.compile"), record(compiled if how == "outside" else model):
        compiled(SOURCE, TARGET)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_model_compiled_in_place_is_an_error(model: nn.Module) -> None:
    model.encoder.compile(backend="eager")
    with pytest.raises(UserError, match=r"torch\.compile"), record(model):
        pass


# ---- recorders among themselves


def test_a_second_recorder_is_refused(model: nn.Module) -> None:
    with record(model) as seen:
        with pytest.raises(UserError, match="a recorder is at work already"), record(model.encoder):
            pass
        model(SOURCE, TARGET)
    assert len(seen.looks) == 6
    with record(model) as again:  # and after the first has ended there may be another
        model(SOURCE, TARGET)
    assert len(again.looks) == 6


def test_calls_of_another_thread_are_not_ours(model: nn.Module) -> None:
    """A server answers somebody else at the same time, with the same model."""
    with record(model) as seen:
        other = threading.Thread(target=lambda: model(SOURCE[:1], TARGET[:1]))
        other.start()
        other.join()
        model(SOURCE, TARGET)
    assert len(seen.looks) == 6 and all(look.q.shape[0] == 2 for look in seen.looks.values())


def test_nothing_is_left_on_the_model(model: nn.Module) -> None:
    before = {name: dict(module.__dict__) for name, module in model.named_modules()}
    with record(model) as seen:
        model.init_cache(SOURCE)
        twin = copy.deepcopy(model)
    hooks = [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooks and "step" not in model.__dict__ and "init_cache" not in model.__dict__
    assert all(module.__dict__.keys() == before[name].keys() for name, module in model.named_modules())
    count = len(seen.looks)
    with torch.no_grad():  # a copy made meanwhile runs as itself and tells nobody
        twin.head.weight.zero_()
        assert not twin.step(torch.tensor([1, 1]), twin.init_cache(SOURCE))[0].any()
    assert len(seen.looks) == count


def test_what_is_kept_grows_with_the_length_and_not_with_its_square() -> None:
    def kept(n: int) -> int:
        attend = CausalAttend()
        with torch.no_grad(), record(attend) as seen:
            attend(*(torch.randn(1, 2, n, 8) for _ in range(3)))
        tensors = [part for look in seen.looks.values() for part in look if isinstance(part, torch.Tensor)]
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    assert kept(800) == 4 * kept(200)


def test_a_trace_inside_the_block_records_nothing_more(model: nn.Module) -> None:
    with record(model) as seen:
        model(SOURCE, TARGET)
        before = list(seen.looks)
        seen.trace()
        assert list(seen.looks) == before

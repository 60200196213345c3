"""Averages of weights against naive loops, and the promise that a swap leaves no trace."""

from pathlib import Path
from typing import TypeVar

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.training.averaging import ExponentialAverage, average_files
from allyouneed.training.checkpoint import save_tensors
from allyouneed.training.packing import pack, unpack

M = TypeVar("M", bound=nn.Module)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight


def randomised(model: M, seed: int) -> M:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())):
            value.copy_(torch.randn(value.shape, generator=generator))
    return model


def test_moving_average_equals_a_naive_loop() -> None:
    model = randomised(Tied(), 0)
    average = ExponentialAverage(model, decay=0.5)
    names = {
        "embedding.weight",
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
    }  # the tied one once
    naive: dict[str, Tensor] = {name: model.state_dict()[name].double().clone() for name in names}
    for t in range(20):
        randomised(model, t + 1)
        average.update(model)
        d = min(0.5, (1 + t) / (10 + t))
        for name in names:
            naive[name] = d * naive[name] + (1 - d) * model.state_dict()[name].double()
    assert average.updates == 20 and set(average.averages) == names
    for name, value in average.averages.items():
        torch.testing.assert_close(value.double(), naive[name], rtol=1e-6, atol=1e-6)


def test_the_average_is_float32_and_apart_from_the_model() -> None:
    model = randomised(nn.Linear(3, 2).to(torch.bfloat16), 0)
    average = ExponentialAverage(model, decay=0.999)
    before = average.averages["weight"].clone()
    randomised(model, 1)
    assert average.averages["weight"].dtype == torch.float32
    assert torch.equal(average.averages["weight"], before)
    average.update(model)
    assert not torch.equal(average.averages["weight"], before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_swap_computes_with_the_average_and_restores_exactly(dtype: torch.dtype) -> None:
    model = randomised(Tied().to(dtype), 0)
    average = ExponentialAverage(model, decay=0.9)
    average.update(randomised(model, 1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), average.swapped_in(model) as swapped:
        assert swapped is model
        assert model.head.weight is model.embedding.weight
        assert torch.equal(model.head.weight, average.averages["embedding.weight"].to(dtype))
        raise RuntimeError("stop")
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(value.requires_grad for value in model.parameters())


def test_state_goes_through_a_file_and_continues_bit_by_bit(tmp_path: Path) -> None:
    model = randomised(Tied(), 0)
    one = ExponentialAverage(model, decay=0.9)
    one.update(randomised(model, 1))
    tensors, structure = pack(one.state())
    other = ExponentialAverage(randomised(Tied(), 7), decay=0.9)
    other.load_state(unpack({name: value.clone() for name, value in tensors.items()}, structure))
    for average in (one, other):
        average.update(randomised(model, 2))
    assert one.updates == other.updates == 2
    assert all(torch.equal(value, other.averages[name]) for name, value in one.averages.items())


def test_another_model_is_refused() -> None:
    average = ExponentialAverage(Tied(), decay=0.9)
    with pytest.raises(ValueError, match="bias"):
        average.update(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="another model"):
        average.load_state(ExponentialAverage(nn.Linear(2, 2), 0.9).state())


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_tensors(path, tensors)
    return path


def test_mean_of_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    models = []
    for index in range(3):
        weight = torch.randn(4, 3)
        half = torch.randn(4).to(torch.bfloat16)
        models.append({"a": weight, "b": weight, "c": half, "count": torch.tensor(index)})
    paths = [saved(tmp_path / f"{index}.safetensors", model) for index, model in enumerate(models)]
    mean = average_files(paths)
    expected = torch.stack([model["a"].double() for model in models]).mean(0).float()
    assert torch.equal(mean["a"], expected)
    assert mean["a"] is mean["b"]
    assert mean["c"].dtype == torch.float32
    assert mean["count"] == 2


def test_mean_of_one_file_is_that_file(tmp_path: Path) -> None:
    weight = torch.randn(3)
    assert torch.equal(average_files([saved(tmp_path / "m.safetensors", {"a": weight})])["a"], weight)


def test_files_that_do_not_match_are_named(tmp_path: Path) -> None:
    one = saved(tmp_path / "one.safetensors", {"a": torch.zeros(3)})
    save_file({"a": torch.zeros(4)}, tmp_path / "two.safetensors")
    with pytest.raises(UserError, match=r"two\.safetensors cannot be averaged"):
        average_files([one, tmp_path / "two.safetensors"])
    with pytest.raises(UserError, match="no model files"):
        average_files([])

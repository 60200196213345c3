"""Products packed for decoding: each beside the float part that it was made from, and the twin beside its model."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.decoding import precision as chosen
from allyouneed.decoding.beam import beam
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.precision import prepared
from allyouneed.errors import UserError
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.heads import VocabularyHead
from allyouneed.nn.packed import NARROW, FastLinear, Int8Weights, PackedWeights, has_int8, has_packing, packed

int8 = pytest.mark.skipif(not has_int8(), reason="this processor has no 8-bit products (AVX512-VNNI)")
packing = pytest.mark.skipif(not has_packing(), reason="this torch has no packed products (oneDNN)")
PRECISIONS = [pytest.param("float32", marks=packing), pytest.param("int8", marks=int8)]


def matrix(outputs: int, inputs: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.randn(rows, inputs) * torch.logspace(-2, 2, rows)[:, None]  # rows of very different sizes
    return torch.randn(outputs, inputs), torch.randn(outputs), x


@int8
@pytest.mark.parametrize("rows", [1, 5, 70, 2000])
@pytest.mark.parametrize("with_bias", [True, False])
def test_int8_is_its_definition_in_integers(rows: int, with_bias: bool) -> None:
    weight, bias, x = matrix(300, 48, rows)
    per_output = weight.abs().amax(1) / 127
    per_row = x.abs().amax(1) / 127
    integers = (x / per_row[:, None]).round().long() @ (weight / per_output[:, None]).round().long().T
    wanted = integers.double() * per_row[:, None] * per_output + (bias if with_bias else 0)
    found = Int8Weights(weight, bias if with_bias else None)(x)
    # A quotient that ends in a half may be rounded either way: one step of one input, seldom.
    step = per_row[:, None] * per_output * 127
    assert ((found - wanted).abs() <= 1.01 * step + 1e-4).all()
    assert ((found - wanted).abs() <= 1e-5 * wanted.abs() + 1e-5).double().mean() > 0.99


@int8
def test_int8_is_near_the_float_product_and_zero_stays_zero() -> None:
    weight, bias, x = matrix(128, 256, 40)
    product = Int8Weights(weight, None)
    wanted = F.linear(x, weight)
    assert ((product(x) - wanted).norm(dim=1) / wanted.norm(dim=1) < 0.02).all()
    assert torch.equal(product(torch.zeros(3, 256)), torch.zeros(3, 128))
    torch.testing.assert_close(Int8Weights(weight, bias)(torch.zeros(2, 5, 256)), bias.expand(2, 5, -1))


@int8
def test_int8_row_does_not_see_the_other_rows() -> None:
    weight, bias, x = matrix(8000, 64, 300)  # more rows than are computed together
    product = Int8Weights(weight, bias)
    together = product(x)
    for i in (0, 64, 65, 299):
        assert torch.equal(product(x[i : i + 1])[0], together[i])


@packing
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_packed_floats_are_linear(dtype: torch.dtype, tolerance: float) -> None:
    weight, bias, _ = matrix(96, 64, 1)
    x = torch.randn(2, 7, 64)
    found = PackedWeights(weight.to(dtype), bias.to(dtype))(x.to(dtype))
    torch.testing.assert_close(found.float(), F.linear(x, weight, bias), rtol=tolerance, atol=10 * tolerance)
    torch.testing.assert_close(
        PackedWeights(weight, None)(x.transpose(0, 1)), F.linear(x.transpose(0, 1), weight), rtol=1e-5, atol=1e-4
    )


def model() -> nn.Module:
    torch.manual_seed(4)
    return transformer(TransformerConfig(vocab_size=130, dim=64, heads=4, ffn_dim=128, depth=2, dropout=0.1)).eval()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_twin_is_its_model(precision: str) -> None:
    plain = model()
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    twin = packed(plain, precision)
    kinds = {type(part) for part in twin.modules()}
    assert FastLinear in kinds and nn.Linear not in kinds and VocabularyHead not in kinds
    assert not any(isinstance(part, FastLinear) for part in plain.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())
    source, target = torch.randint(3, 130, (3, 9)), torch.randint(3, 130, (3, 7))
    source[1, 6:] = 0
    with torch.no_grad():
        wanted, found = plain(source, target), twin(source, target)
        stepped, cache = [], twin.init_cache(source)
        for ids in target.T:
            logits, cache = twin.step(ids, cache)
            stepped.append(logits)
    small = 1e-4 if precision == "float32" else 0.1 * wanted.std()
    assert (found - wanted).abs().max() < small and not torch.equal(found, torch.zeros_like(found))
    assert (torch.stack(stepped, 1) - wanted).abs().max() < small


@packing
def test_searches_of_the_float32_twin_are_those_of_the_model() -> None:
    plain = model()
    twin, source = packed(plain, "float32"), torch.randint(3, 130, (12, 8))
    assert [h.ids for h in greedy(twin, source)] == [h.ids for h in greedy(plain, source)]
    assert [[h.ids for h in s] for s in beam(twin, source, n_best=3)] == [
        [h.ids for h in s] for s in beam(plain, source, n_best=3)
    ]


def test_bfloat16_leaves_the_model_in_float32() -> None:
    plain = model()
    twin = packed(plain, "bfloat16") if has_packing() else plain
    assert all(parameter.dtype == torch.float32 for parameter in plain.parameters())
    assert twin is not plain


def test_narrow_maps_stay_as_they_are() -> None:
    plain = nn.Sequential(nn.Linear(8, NARROW - 1), nn.Linear(NARROW - 1, NARROW))
    twin = packed(plain, "float32")
    assert type(twin[0]) is nn.Linear and type(twin[1]) is FastLinear


# The choice


def test_precision_is_chosen_by_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, taken = model(), []
    monkeypatch.setattr(chosen, "packed", lambda model, precision: taken.append(precision))
    monkeypatch.setattr(chosen, "has_packing", lambda: True)
    for int8_there, bfloat16_there in ((True, True), (True, False), (False, False)):
        monkeypatch.setattr(chosen, "has_int8", lambda there=int8_there: there)
        monkeypatch.setattr(chosen, "has_bfloat16", lambda there=bfloat16_there: there)
        prepared(plain, "auto")
    prepared(plain, "float32")
    assert taken == ["bfloat16", "int8", "float32", "float32"]
    with pytest.raises(UserError, match="int8 needs a processor"):
        prepared(plain, "int8")


def test_without_packing_the_model_itself_is_stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = model()
    monkeypatch.setattr(chosen, "has_packing", lambda: False)
    monkeypatch.setattr(chosen, "has_int8", lambda: False)
    monkeypatch.setattr(chosen, "has_bfloat16", lambda: False)
    assert prepared(plain, "auto") is plain
    graph, exact = object(), model().double()
    assert prepared(graph, "auto") is graph and prepared(exact, "float32") is exact

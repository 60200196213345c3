"""The sandwich's orders by hand, its parameters and work, and parity with x-transformers' sandwich."""

from collections import Counter

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from allyouneed.models.sandwich import PRESETS, SandwichConfig, language_model, orders, translator
from allyouneed.nn.attention import CausalAttend
from allyouneed.nn.layer import Context
from allyouneed.nn.stack import Stack, sandwich
from allyouneed.nn.sublayers import SublayerConfig, sublayers

TINY = SandwichConfig(vocab_size=24, dim=16, heads=2, ffn_dim=32, depth=4, sandwich=2, dropout=0.0)


def with_(**changes: object) -> SandwichConfig:
    return SandwichConfig(**{**TINY.model_dump(), **changes})


# ---- order strings


@pytest.mark.parametrize(
    "n, k, order",
    [(3, 0, "sfsfsf"), (3, 1, "ssfsff"), (3, 2, "sssfff"), (4, 2, "sssfsfff"), (3, 3, "sssfff"), (1, 0, "sf")],
)
def test_orders_by_hand(n: int, k: int, order: str) -> None:
    assert sandwich(n, k) == order


def test_the_papers_orders() -> None:
    """Figure 1 has n = 5, k = 2; the code's model of enwik8 spells 5 x `s.`, 19 x `sf`, 5 x `.f`."""
    assert sandwich(5, 2) == "ss" + "sf" * 3 + "ff"
    assert orders(PRESETS["paper-enwik8"])[0] == "s" * 5 + "sf" * 19 + "f" * 5


def test_a_decoders_attentions_move_together() -> None:
    assert sandwich(3, 1, attention="sc") == "scscfscff"
    assert orders(TINY) == ("sssfsfff" + "n", "scscscfscfff" + "n")
    assert orders(with_(decoder_sandwich=0)) == ("sssfsfffn", "scfscfscfscfn")
    assert orders(with_(norm="post"))[0] == "sssfsfff"


@pytest.mark.parametrize("n", [1, 2, 6])
def test_every_k_has_the_same_sublayers(n: int) -> None:
    assert all(Counter(sandwich(n, k)) == {"s": n, "f": n} for k in range(n + 1))
    assert len({sandwich(n, k) for k in range(n)}) == n  # and k = n is k = n - 1 again: nothing is left between


def test_orders_that_cannot_be() -> None:
    for n, k in ((3, 4), (3, -1)):
        with pytest.raises(ValueError, match=rf"sandwich\({n}, {k}\) is not possible.*from 0 to n = 3"):
            sandwich(n, k)
    with pytest.raises(ValidationError, match="decoder_sandwich 5 is more than depth 4"):
        with_(decoder_sandwich=5)
    with pytest.raises(
        ValidationError, match="order 'sxf' has the letter 'x'; it may have the letters s, f and n only"
    ):
        with_(order="sxf")
    with pytest.raises(ValidationError, match="order 'scf' has the letter 'c'"):
        with_(order="scf")
    with pytest.raises(ValidationError, match="decoder_order 'schf' has the letter 'h'"):
        with_(decoder_order="schf")


def test_an_order_of_ones_own() -> None:
    model = language_model(with_(order="ffss"))
    assert model.decoder.order == "ffssn"
    assert translator(with_(order="ffss", decoder_order="cfs")).decoder.order == "cfsn"


# ---- the claim that it costs nothing


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_k_has_the_same_parameters() -> None:
    assert len({parameters(language_model(with_(sandwich=k))) for k in range(5)}) == 1
    assert len({parameters(translator(with_(sandwich=k))) for k in range(5)}) == 1


def test_every_k_has_the_same_work() -> None:
    """Multiplications, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    counts = set()
    for k in range(5):
        model, ids = language_model(with_(sandwich=k)), torch.randint(4, 24, (2, 9))
        with FlopCounterMode(display=False) as counter:
            model(ids).sum().backward()
        counts.add(counter.get_total_flops())
    assert len(counts) == 1 and counts.pop() > 0


def test_without_a_sandwich_it_is_the_plain_transformer() -> None:
    """The same weights in the same places: the names say index and letter."""
    plain = Stack("sfsfn", **sublayers(TINY, CausalAttend))
    model = language_model(with_(depth=2, sandwich=0))
    model.decoder.load_state_dict(plain.state_dict())
    x = torch.randn(2, 5, 16)
    assert torch.equal(model.decoder(x, Context()), plain(x, Context()))


# ---- parity


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_parity_with_x_transformers(k: int) -> None:
    """Its `sandwich_coef`, with random weights carried over sublayer by sublayer; outputs and gradients."""
    theirs = pytest.importorskip("x_transformers").Decoder(
        dim=16, depth=3, heads=2, attn_dim_head=8, sandwich_coef=k or None, ff_mult=2
    )
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    c = SublayerConfig(dim=16, heads=2, ffn_dim=32, activation="gelu", bias=False, dropout=0.0)
    ours = Stack(sandwich(3, k) + "n", **sublayers(c, CausalAttend))
    assert "".join(theirs.layer_types).replace("a", "s") + "n" == ours.order
    ours.load_state_dict(dict(renamed(theirs, ours)))
    x = torch.randn(2, 7, 16)
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, found = theirs(second), ours(first, Context())
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    found.square().mean().backward()
    expected.square().mean().backward()
    torch.testing.assert_close(first.grad, second.grad, atol=1e-5, rtol=1e-5)


def renamed(theirs: nn.Module, ours: Stack):  # type: ignore[no-untyped-def]
    """Their weights by our names. Their norms have a gain, of which they may store the excess over 1, and no bias."""

    def norm(name: str, module: nn.Module):  # type: ignore[no-untyped-def]
        yield f"{name}.weight", module.gamma + float(module.unit_offset)
        yield f"{name}.bias", torch.zeros_like(module.gamma)

    for i, (letter, (norms, layer, _)) in enumerate(zip(ours.order, theirs.layers, strict=False)):
        place = f"layers.{i}{letter}"
        yield from norm(f"{place}.norm", norms[0])
        if letter == "s":
            yield f"{place}.layer.qkv.weight", torch.cat([m.weight for m in (layer.to_q, layer.to_k, layer.to_v)])
            yield f"{place}.layer.out.weight", layer.to_out.weight
        else:
            for name, linear in (("inner", layer.ff[0][0]), ("outer", layer.ff[2])):
                yield f"{place}.layer.{name}.weight", linear.weight
                yield f"{place}.layer.{name}.bias", linear.bias
    yield from norm(f"layers.{len(ours.order) - 1}n.norm", theirs.final_norm)

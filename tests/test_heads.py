"""Tables, what ties them, and the fused loss against its plain twin, torch's loss and a loop."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn import fused_loss
from allyouneed.nn.embedding import TextInput, TokenEmbedding
from allyouneed.nn.fused_loss import fused_cross_entropy, plain_cross_entropy
from allyouneed.nn.heads import NO_SMOOTHING, Smoothing, VocabularyHead
from allyouneed.nn.positions import SinusoidalPositions

CONVENTIONS = ("torch", "tensor2tensor", "fairseq")
TABLES = ("source.embedding.table.weight", "target.embedding.table.weight", "head.weight")
SMALL = TransformerConfig(vocab_size=11, dim=8, heads=2, ffn_dim=12, depth=1, dropout=0.0)


# ---- embeddings and tying


@pytest.mark.parametrize("scale, factor", [(None, math.sqrt(6)), (1.0, 1.0)])
def test_an_embedding_is_its_row_times_the_scale(scale: float | None, factor: float) -> None:
    embedding, ids = TokenEmbedding(5, 6, scale), torch.tensor([[1, 4], [0, 1]])
    for b, n in ((0, 0), (0, 1), (1, 0), (1, 1)):
        torch.testing.assert_close(embedding(ids)[b, n], embedding.table.weight[ids[b, n]] * factor)


def test_text_input_drops_the_sum_of_embedding_and_position() -> None:
    text = TextInput(TokenEmbedding(9, 64), SinusoidalPositions(64), dropout=0.5)
    ids = torch.randint(9, (4, 30))
    out, clean = text(ids), text.eval()(ids)
    assert (out == 0).double().mean() == pytest.approx(0.5, abs=0.03)
    torch.testing.assert_close(out[out != 0], 2 * clean[out != 0])
    for place in range(30):  # decoding reads one position at a time
        torch.testing.assert_close(text.at(ids[:, place], place)[:, 0], clean[:, place])


@pytest.mark.parametrize("tie, tensors", [("all", 1), ("decoder", 2), ("none", 3)])
def test_tied_tables_are_one_tensor_and_count_once(tie: str, tensors: int) -> None:
    model = transformer(TransformerConfig(**{**SMALL.model_dump(), "tie": tie}))
    names = dict(model.named_parameters(remove_duplicate=False))
    assert len({names[table].data_ptr() for table in TABLES}) == tensors
    others = transformer(SMALL)
    size = lambda m: sum(p.numel() for p in m.parameters())  # noqa: E731
    assert size(model) - size(others) == (tensors - 1) * 11 * 8


@pytest.mark.parametrize("tie", ["all", "decoder"])
def test_a_tied_tables_gradient_is_the_sum_of_its_uses(tie: str) -> None:
    tied = transformer(TransformerConfig(**{**SMALL.model_dump(), "tie": tie})).double()
    free = transformer(TransformerConfig(**{**SMALL.model_dump(), "tie": "none"})).double()
    free.load_state_dict(tied.state_dict())
    source, target = torch.randint(1, 11, (3, 5)), torch.randint(1, 11, (3, 4))
    for model in (tied, free):
        model(source, target).square().sum().backward()
    uses = TABLES if tie == "all" else TABLES[1:]
    separate = dict(free.named_parameters())
    torch.testing.assert_close(tied.head.weight.grad, sum(separate[name].grad for name in uses))
    if tie == "decoder":
        torch.testing.assert_close(tied.source.embedding.table.weight.grad, separate[TABLES[0]].grad)


# ---- the loss


def rows(n: int = 7, dim: int = 5, vocab: int = 6, bias: bool = True) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    make = lambda *shape: torch.randn(*shape, dtype=torch.float64, requires_grad=True)  # noqa: E731
    return make(n, dim), make(vocab, dim), make(vocab) if bias else None, torch.randint(vocab, (n,))


def loop_loss(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: tuple[str, float]
) -> list[float]:
    """The sum of -q log p over rows and classes, with q written out as the convention says; and the plain one."""
    convention, epsilon = smoothing
    loss, nll, size = 0.0, 0.0, weight.shape[0]
    for row, target in zip(x, targets.tolist(), strict=True):
        logits = (weight @ row + (0 if bias is None else bias)).tolist()
        total = math.log(sum(math.exp(value) for value in logits))
        for label, value in enumerate(logits):
            if convention == "torch":
                q = (1 - epsilon) * (label == target) + epsilon / size
            else:
                q = 1 - epsilon if label == target else epsilon / (size - 1)
            loss += q * (total - value)
            nll += (label == target) * (total - value)
    return [loss, nll]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("bias", [True, False])
def test_both_losses_are_their_definition(convention: str, epsilon: float, bias: bool) -> None:
    x, weight, b, targets = rows(bias=bias)
    expected = loop_loss(x, weight, b, targets, (convention, epsilon))
    smoothing = Smoothing.named(convention, epsilon, 6)
    for make in (fused_cross_entropy, plain_cross_entropy):
        torch.testing.assert_close(torch.stack(make(x, weight, b, targets, *smoothing)).tolist(), expected)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_the_torch_convention_is_torchs(epsilon: float) -> None:
    x, weight, b, targets = rows()
    loss = nn.CrossEntropyLoss(label_smoothing=epsilon, reduction="sum")(F.linear(x, weight, b), targets)
    torch.testing.assert_close(
        plain_cross_entropy(x, weight, b, targets, *Smoothing.named("torch", epsilon, 6))[0], loss
    )


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_the_fused_loss_equals_its_twin_at_every_chunk_border(
    n: int, convention: str, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_loss, "CHUNK", 4)
    x, weight, b, targets = rows(n, bias=bias)
    learned = [tensor for tensor in (x, weight, b) if tensor is not None]
    smoothing = Smoothing.named(convention, 0.1, 6)
    results = []
    for make in (fused_cross_entropy, plain_cross_entropy):
        loss, nll = make(x, weight, b, targets, *smoothing)
        results.append([loss, nll, *torch.autograd.grad(3 * loss / 7, learned)])
    for fused, plain in zip(*results, strict=True):
        torch.testing.assert_close(fused, plain, atol=1e-12, rtol=1e-10)


SMOOTHINGS = [NO_SMOOTHING, Smoothing.named("torch", 0.2, 6), Smoothing.named("fairseq", 0.2, 6), Smoothing(0.5, 0.3)]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)  # the last sums to two: the kernel asks for no probability
def test_the_fused_gradients(smoothing: Smoothing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_loss, "CHUNK", 4)
    x, weight, bias, targets = rows()
    assert torch.autograd.gradcheck(lambda *t: fused_cross_entropy(*t, targets, *smoothing)[0], (x, weight, bias))


def test_the_fused_loss_can_be_read_twice_and_frozen_in_part() -> None:
    x, weight, bias, targets = rows()
    loss, nll = fused_cross_entropy(x, weight.detach(), bias, targets)
    assert not nll.requires_grad
    first = torch.autograd.grad(loss, (x, bias), retain_graph=True)
    second = torch.autograd.grad(2 * loss, (x, bias))
    for one, two in zip(first, second, strict=True):
        torch.testing.assert_close(2 * one, two)


def test_no_gradient_is_made_where_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation would pay two products more than it needs."""
    x, weight, bias, targets = rows()
    made: list[Tensor] = []
    real = torch.Tensor.scatter_add_
    monkeypatch.setattr(torch.Tensor, "scatter_add_", lambda self, *a: made.append(self) or real(self, *a))
    with torch.no_grad():
        loss, _ = fused_cross_entropy(x, weight, bias, targets)
    assert not made and not loss.requires_grad
    fused_cross_entropy(x, weight, bias, targets)
    assert made


def test_the_fused_loss_under_autocast() -> None:
    x, weight, targets = (
        torch.randn(50, 16, requires_grad=True),
        nn.Parameter(torch.randn(30, 16)),
        torch.randint(30, (50,)),
    )
    wide, _ = plain_cross_entropy(x, weight, None, targets, 0.9, 0.1 / 29)
    exact = torch.autograd.grad(wide / 50, (x, weight))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, nll = fused_cross_entropy(x, weight, None, targets, 0.9, 0.1 / 29)
        assert loss.dtype == nll.dtype == torch.float32
    torch.testing.assert_close(loss, wide, rtol=1e-2, atol=0)
    for found, expected in zip(torch.autograd.grad(loss / 50, (x, weight)), exact, strict=True):
        assert found.dtype == torch.float32
        assert (found - expected).norm() < 0.01 * expected.norm()


def test_a_narrow_gradient_is_scaled_by_the_whole_number() -> None:
    """1/50 rounded to bfloat16 is off by 0.1 %, for every weight below the head in the same direction."""
    x = torch.randn(400, 16, dtype=torch.bfloat16, requires_grad=True)
    weight, targets = torch.randn(30, 16), torch.randint(30, (400,))
    loss, _ = fused_cross_entropy(x, weight, None, targets)
    one, part = (torch.autograd.grad(loss * factor, x, retain_graph=True)[0].double() for factor in (1.0, 0.0203))
    ratio = (part * one).sum() / (one * one).sum()
    assert ratio == pytest.approx(0.0203, rel=2e-4)


@pytest.mark.parametrize("bias", [True, False])
def test_positions_without_a_target_do_not_exist(bias: bool) -> None:
    head = VocabularyHead(nn.Parameter(torch.randn(6, 5)), bias).double()
    x, targets = (
        torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True),
        torch.tensor([[3, 5, 1, 0], [2, 0, 0, 0]]),
    )
    loss, nll, tokens = head.loss(x, targets, Smoothing.named("torch", 0.1, 6))
    real = targets != 0
    reference = nn.CrossEntropyLoss(ignore_index=0, label_smoothing=0.1, reduction="sum")
    torch.testing.assert_close(loss, reference(head.logits(x).flatten(0, 1), targets.flatten()))
    plain = nn.CrossEntropyLoss(ignore_index=0, reduction="sum")
    torch.testing.assert_close(nll, plain(head.logits(x).flatten(0, 1), targets.flatten()).detach())
    assert tokens == 4
    loss.backward()
    assert (x.grad[~real] == 0).all() and (x.grad[real].abs().sum(-1) > 0).all()
    assert head.bias is None or head.bias.grad is not None


def test_a_batch_of_padding_costs_nothing() -> None:
    head, x = VocabularyHead(nn.Parameter(torch.randn(6, 5))), torch.randn(2, 3, 5, requires_grad=True)
    loss, nll, tokens = head.loss(x, torch.zeros(2, 3, dtype=torch.long))
    loss.backward()
    assert (loss, nll, tokens) == (0, 0, 0) and (x.grad == 0).all() and (head.weight.grad == 0).all()


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'keras' is not known.*torch, tensor2tensor, fairseq"):
        Smoothing.named("keras", 0.1, 6)

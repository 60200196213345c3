"""Training: what a step computes, which batches it sees, what ends a run, and which weights are kept."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import SETTINGS, bits, corpus, losses, write_corpus, write_pair
from torch import Tensor, nn

from allyouneed import load
from allyouneed.data.batches import TokenStore, padded_tokens, padding_waste, plan
from allyouneed.data.parallel import Corpus, ParallelText
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.errors import UserError
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.heads import Smoothing, VocabularyHead
from allyouneed.recipes import translation
from allyouneed.recipes.job import make_settings
from allyouneed.recipes.train import train as run_training
from allyouneed.settings import override
from allyouneed.tasks.translation import Batch, Learning, TranslationTask, Vocabulary, rdrop_loss, smoothed_loss
from allyouneed.training.averaging import average_files
from allyouneed.training.checkpoint import Checkpoint, latest
from allyouneed.training.engine import Engine, Position
from allyouneed.training.memory import give_back_freed_memory
from allyouneed.training.packing import unpack
from allyouneed.training.precision import autocast, has_bfloat16
from allyouneed.training.progress import Silent
from allyouneed.training.schedules import learning_rate
from allyouneed.training.settings import TrainingSettings


class Said(Silent):
    """Remembers what a person would read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


class Trained(NamedTuple):
    folder: Path
    at: Position
    said: str


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("data") / "text")


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    train = corpus().train
    joint = Subwords.train([*train.source, *train.target], vocab_size=300)
    return Vocabulary(joint, joint)


@pytest.fixture
def trained(data: Path, tmp_path: Path) -> Any:
    """`trained("key=value", ...)`: a short run in this process."""

    def train(*assignments: str, path: Path = data, name: str = "run") -> Trained:
        said = Said()
        given = [*SETTINGS, f"data.path={path}", *assignments]
        at = run_training("translation", tmp_path / name, assignments=given, reporter=said)
        return Trained(tmp_path / name, at, "\n".join(said.lines))

    return train


def task_of(vocabulary: Vocabulary, **learning: Any) -> TranslationTask:
    text = corpus()
    return TranslationTask(text.train, text.val, vocabulary, Learning(batch_tokens=512, **learning), DecodingSettings())


def model_of(vocabulary: Vocabulary, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(5)
    sizes = dict(vocab_size=len(vocabulary.target), source_vocab_size=len(vocabulary.source))
    return transformer(TransformerConfig(dim=16, heads=2, ffn_dim=32, depth=1, dropout=dropout, **sizes))


# ---- batches: a pure function of (seed, epoch)


@pytest.fixture
def lengths() -> np.ndarray:  # 2 x sentences
    draw = np.random.default_rng(7)
    return np.stack([draw.integers(1, 40, 500), draw.integers(1, 60, 500)])


def test_every_sentence_is_in_the_plan_once_and_no_batch_is_over_the_budget(lengths: np.ndarray) -> None:
    for epoch in range(3):
        batches = plan(lengths, 400, 1, epoch)
        assert sorted(np.concatenate(batches).tolist()) == list(range(500))
        for batch in batches:
            cells = sum(max(side[i] for i in batch) * len(batch) for side in lengths.tolist())
            assert cells == padded_tokens(batch, lengths) <= 400


def test_the_plan_is_a_pure_function_of_seed_and_epoch(lengths: np.ndarray) -> None:
    def spelled(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in plan(lengths, 400, seed, epoch)]

    np.random.seed(3)
    first = spelled(1, 4)
    np.random.seed(9)
    assert spelled(1, 4) == first
    others = [spelled(1, 5), spelled(2, 4)]
    assert first not in others and others[0] != others[1]
    assert {frozenset(batch) for batch in first} != {
        frozenset(batch) for batch in others[0]
    }  # other company, not order


def test_a_sentence_over_the_budget_is_a_batch_of_its_own() -> None:
    batches = plan(np.array([[3, 90, 3], [3, 90, 3]]), 20, 0, 0)
    assert sorted(map(sorted, batches)) == [[0, 2], [1]]
    assert plan(np.zeros((2, 0), dtype=int), 20, 0, 0) == []


def test_padding_waste_by_hand() -> None:
    sides = np.array([[2, 4, 1], [3, 3, 5]])
    assert padding_waste([np.array([0, 1]), np.array([2])], sides) == pytest.approx(1 - 18 / (2 * 4 + 2 * 3 + 1 + 5))
    assert padding_waste([np.array([i]) for i in range(3)], sides) == 0


def test_length_bucketing_wastes_little(vocabulary: Vocabulary) -> None:
    task = task_of(vocabulary)
    shuffled = np.array_split(np.random.default_rng(0).permutation(240), len(task.plan(0)))
    assert padding_waste(task.plan(0), task.lengths(0)) < 0.12 < padding_waste(shuffled, task.lengths(0))


def test_a_store_of_tokens_pads_and_marks() -> None:
    store = TokenStore.of([[5, 6, 7], [], [8]])
    assert len(store) == 3 and store.lengths.tolist() == [3, 0, 1]
    assert store.padded(np.array([2, 0]), before=[1], after=[2]).tolist() == [[1, 8, 2, 0, 0], [1, 5, 6, 7, 2]]


def test_a_batch_holds_begin_and_end_where_they_belong(vocabulary: Vocabulary) -> None:
    task, rows = task_of(vocabulary), np.array([0, 7, 3])
    batch = task.collate(rows, 0)
    for i, row in enumerate(rows):
        source, target = (side.encode([text[row]])[0] for side, text in zip(vocabulary, corpus().train, strict=True))
        for tensor, expected in zip(batch, ([*source, 2], [1, *target], [*target, 2]), strict=True):
            assert tensor[i, : len(expected)].tolist() == expected and not tensor[i, len(expected) :].any()
    assert task.weight(rows, 0) == int((batch.target_out != 0).sum())
    assert task.tokens(rows, 0) == int((batch.source != 0).sum() + (batch.target_out != 0).sum())


# ---- the loss


CONVENTIONS = {
    "torch": lambda v: (0.9 + 0.1 / v, 0.1 / v),
    "tensor2tensor": lambda v: (0.9, 0.1 / (v - 1)),
    "fairseq": lambda v: (0.9, 0.1 / (v - 1)),
}


def naive_loss(log_probs: Tensor, targets: Tensor, true: float, other: float) -> float:
    """Summed over real positions, a word at a time."""
    total = 0.0
    for row, target in zip(log_probs.flatten(0, -2).tolist(), targets.flatten().tolist(), strict=True):
        if target:
            total -= sum((true if word == target else other) * value for word, value in enumerate(row))
    return total


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_convention_of_label_smoothing_reaches_the_loss(convention: str, vocabulary: Vocabulary) -> None:
    task, model = task_of(vocabulary, convention=convention, smoothing=0.1), model_of(vocabulary)
    batch = task.collate(np.arange(6), 0)
    loss, parts = task.loss(model, batch, "model")
    log_probs = model(batch.source, batch.target_in).log_softmax(-1)
    weights = CONVENTIONS[convention](len(vocabulary.target))
    assert float(loss.detach()) == pytest.approx(naive_loss(log_probs, batch.target_out, *weights), rel=1e-5)
    assert float(parts["loss"]) == float(loss.detach())
    assert float(parts["nll"]) == pytest.approx(naive_loss(log_probs, batch.target_out, 1.0, 0.0), rel=1e-5)
    if convention == "torch":
        own = F.cross_entropy(
            log_probs.flatten(0, 1), batch.target_out.flatten(), ignore_index=0, reduction="sum", label_smoothing=0.1
        )
        assert float(loss.detach()) == pytest.approx(float(own.detach()), rel=1e-5)


class Passes(nn.Module):
    """A model whose two passes are given."""

    def __init__(self, hidden: Tensor, vocab_size: int):
        super().__init__()
        self.given = nn.Parameter(hidden)
        self.head = VocabularyHead(nn.Parameter(torch.randn(vocab_size, hidden.shape[-1])))

    def hidden(self, source: Tensor, target: Tensor) -> Tensor:
        assert len(source) == len(target) == len(self.given)
        assert torch.equal(*source.chunk(2)) and torch.equal(*target.chunk(2))
        return self.given


def test_rdrop_equals_a_naive_loop() -> None:
    targets = torch.tensor([[5, 6, 2, 0], [7, 2, 0, 0]])
    batch, smoothing, alpha = Batch(targets, targets, targets), Smoothing.named("torch", 0.1, 9), 3.0
    model = Passes(torch.randn(4, 4, 8), 9)
    loss, nll = rdrop_loss(model, batch, smoothing, alpha)
    first, second = model.head.logits(model.given).log_softmax(-1).chunk(2)  # each b n v
    entropy = [naive_loss(side, targets, *smoothing) for side in (first, second)]
    divergence = 0.0
    for p, q, target in zip(first.flatten(0, 1), second.flatten(0, 1), targets.flatten().tolist(), strict=True):
        for a, b in zip(p.tolist(), q.tolist(), strict=True):
            divergence += (np.exp(a) * (a - b) + np.exp(b) * (b - a)) if target else 0.0  # KL both ways
    # Equation 4 of the paper sums both passes; here is their mean, so that the loss is comparable with one pass.
    assert float(loss.detach()) == pytest.approx((sum(entropy) + alpha * divergence / 2) / 2, rel=1e-5)
    assert float(nll) == pytest.approx(
        sum(naive_loss(side, targets, 1.0, 0.0) for side in (first, second)) / 2, rel=1e-5
    )
    loss.backward()
    assert model.given.grad is not None and not model.given.grad[:2][targets == 0].any()


def test_rdrop_without_dropout_is_the_plain_loss(vocabulary: Vocabulary) -> None:
    task = task_of(vocabulary, rdrop=2.0)
    model, batch = model_of(vocabulary), task.collate(np.arange(5), 0)
    plain = smoothed_loss(model, batch, task.smoothing)
    torch.testing.assert_close(task.loss(model, batch, "model")[0], plain[0])
    noisy = model_of(vocabulary, dropout=0.3).train()
    assert task.loss(noisy, batch, "model")[0].item() > 1.01 * plain[0].item()


# ---- a step


def gradients(engine: Engine, group: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """What the optimiser is given for a step from these batches."""
    seen: dict[str, Tensor] = {}

    def look(*_: Any) -> None:
        seen.update({n: p.grad.clone() for n, p in engine.model.named_parameters() if p.grad is not None})

    for optimizer in engine.optimizers.values():
        optimizer.register_step_pre_hook(look)
    engine._step(group, 10.0)
    return seen


def engine_of(task: TranslationTask, folder: Path, vocabulary: Vocabulary, **settings: Any) -> Engine:
    numbers = {"precision": "float32", "clip_norm": 0.0, "max_steps": 10, **settings}
    return Engine(model_of(vocabulary), task, TrainingSettings(**numbers), folder, Silent(), 16)


def test_accumulated_gradients_are_those_of_the_whole_by_true_tokens(vocabulary: Vocabulary, tmp_path: Path) -> None:
    task = task_of(vocabulary)
    whole = np.concatenate(task.plan(0)[:2])
    by_length = whole[np.argsort(task.lengths(0)[1][whole])]
    halves = [by_length[:5], by_length[5:]]  # few short sentences and many long ones: a mean of means would be wrong
    assert task.weight(halves[0], 0) * 2 < task.weight(halves[1], 0)
    two = gradients(engine_of(task, tmp_path, vocabulary, accumulate=2), halves)
    one = gradients(engine_of(task, tmp_path, vocabulary), [whole])
    model, batch = model_of(vocabulary), task.collate(whole, 0)
    logits = model(batch.source, batch.target_in).flatten(0, 1)
    F.cross_entropy(logits, batch.target_out.flatten(), ignore_index=0, label_smoothing=0.1).backward()  # a mean
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(two[name], one[name], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(two[name], parameter.grad, atol=1e-6, rtol=1e-4)


def test_long_gradients_are_clipped(vocabulary: Vocabulary, tmp_path: Path) -> None:
    task = task_of(vocabulary)
    free, clipped = (
        gradients(engine_of(task, tmp_path, vocabulary, clip_norm=limit), task.plan(0)[:1]) for limit in (0.0, 0.01)
    )
    norm = torch.stack([grad.norm() for grad in clipped.values()]).norm()
    assert float(norm) == pytest.approx(0.01, rel=1e-3)
    for name, grad in free.items():
        torch.testing.assert_close(clipped[name] / clipped[name].norm(), grad / grad.norm(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("schedule", ["paper", "inverse_sqrt", "cosine", "cosine_restarts", "constant"])
def test_the_schedule_reaches_the_optimiser(schedule: str, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[float] = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self, *rest: used.extend({part["lr"] for part in self.param_groups}) or step(self, *rest),
    )
    run = trained(f"training.schedule={schedule}", "training.max_steps=9", "training.validate_every=100")
    settings = load(run.folder).settings.training
    expected = [learning_rate(settings, step + 1, 16, step / 9) for step in range(9)]
    assert used == pytest.approx(expected, rel=1e-12)
    logged = [line["learning_rate"] for line in losses(run.folder) if line["kind"] == "train"]
    assert logged == pytest.approx(expected, rel=1e-12)


def test_weight_decay_pulls_at_matrices_alone(vocabulary: Vocabulary, tmp_path: Path) -> None:
    engine = engine_of(task_of(vocabulary), tmp_path, vocabulary, weight_decay=0.5)
    matrices, rest = engine.optimizers["model"].param_groups
    assert (matrices["weight_decay"], rest["weight_decay"]) == (0.5, 0.0)
    assert {p.dim() for p in matrices["params"]} == {2} and {p.dim() for p in rest["params"]} == {1}


def test_the_logged_loss_is_the_mean_over_true_tokens_since_the_last_line(trained: Any, vocabulary: Vocabulary) -> None:
    run = trained("training.max_steps=6", "training.log_every=3", "model.dropout=0", "training.validate_every=2")
    lines = [line for line in losses(run.folder) if line["kind"] == "train"]
    assert [line["step"] for line in lines] == [1, 3, 6]
    every = trained("training.max_steps=6", "model.dropout=0", "training.validate_every=2", name="every")
    single = [line["loss"] for line in losses(every.folder) if line["kind"] == "train"]
    task = task_of(load(run.folder).vocabulary)
    weights = [task.weight(batch, 0) for batch in task.plan(0)[:6]]
    assert lines[1]["loss"] == pytest.approx(np.average(single[1:3], weights=weights[1:3]), rel=1e-6)
    assert lines[2]["loss"] == pytest.approx(np.average(single[3:6], weights=weights[3:6]), rel=1e-6)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(trained: Any) -> None:
    first, again, other = (
        trained("training.max_steps=5", f"training.seed={seed}", name=name)
        for name, seed in (("first", 4), ("again", 4), ("other", 5))
    )
    assert losses(first.folder) == losses(again.folder)
    assert bits(first.folder / "model.safetensors") == bits(again.folder / "model.safetensors")
    assert losses(first.folder)[0]["loss"] != losses(other.folder)[0]["loss"]


# ---- BPE-dropout


def test_bpe_dropout_is_a_function_of_seed_and_epoch(vocabulary: Vocabulary) -> None:
    def spelled(seed: int, epochs: Sequence[int]) -> list[list[int]]:
        task = task_of(vocabulary, bpe_dropout=0.2, seed=seed)
        texts = [task._text(epoch) for epoch in epochs]
        return [side.ids.tolist() for side in texts[-1]]

    first = spelled(1, [3])
    assert spelled(1, [0, 1, 2, 3]) == first and spelled(1, [5, 3]) == first  # whatever was asked for before
    assert spelled(1, [4]) != first != spelled(2, [3])


def test_bpe_dropout_changes_spelling_alone_and_lengths_follow(vocabulary: Vocabulary) -> None:
    task, plain = task_of(vocabulary, bpe_dropout=0.3), task_of(vocabulary)
    rows = task.plan(1)[0]
    batch = task.collate(rows, 1)
    assert vocabulary.source.decode([[i for i in row if i > 2] for row in batch.source.tolist()]) == [
        corpus().train.source[row] for row in rows
    ]
    assert task.weight(rows, 1) == int((batch.target_out != 0).sum()) > plain.weight(rows, 1)
    for epoch in (0, 1):
        lengths = task._text(epoch).lengths
        assert all(padded_tokens(batch, lengths) <= 512 for batch in task.plan(epoch))
    sides = [side.ids.tolist() for side in task._text(0)]
    assert sides[0] != sides[1]


def test_bpe_dropout_trains_and_repeats(trained: Any) -> None:
    words = ["data.bpe_dropout=0.1", "training.max_steps=8", "data.max_sentences=60"]
    first, again = trained(*words, name="first"), trained(*words, name="again")
    assert first.at.epoch >= 1 and losses(first.folder) == losses(again.folder)


# ---- what ends a run, and what is kept


def weights_at(folder: Path, step: int, averaged: bool = True) -> dict[str, Tensor]:
    checkpoint = Checkpoint(step, folder / "checkpoints" / f"step-{step:08d}")
    tensors = checkpoint.model()
    return unpack(*checkpoint.state())["average"]["averages"] if averaged else tensors


def kept(folder: Path) -> dict[str, Tensor]:
    return dict(load(folder).model.state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    names = [name for name in one if name in other]
    assert len(names) > 10
    return all(torch.equal(one[name], other[name]) for name in names)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`scripted(3, 5, 4)`: the BLEU scores that validations find, one after another."""

    def script(*scores: float) -> Iterator[float]:
        left = iter(scores)
        monkeypatch.setattr(TranslationTask, "validate", lambda *_, **__: {"bleu": next(left)})
        return left

    return script


def test_the_average_wins_where_it_is_better(trained: Any, scripted: Any) -> None:
    left = scripted(20, 10)
    run = trained(
        "training.max_steps=10", "training.save_every=5", "training.average_last=2", "training.validate_every=10"
    )
    assert next(left, None) is None and run.at.best_is == "average at step 10" and run.at.best == 20
    assert same(weights_at(run.folder, 10), kept(run.folder)) and "best bleu 20: average at step 10" in run.said


def test_the_mean_of_the_last_checkpoints_wins_where_it_is_better(trained: Any, scripted: Any) -> None:
    scripted(10, 20)
    run = trained(
        "training.max_steps=12", "training.save_every=4", "training.average_last=2", "training.validate_every=50"
    )
    assert run.at.best_is == "mean of 2 checkpoints" and run.at.best_step == 12
    files = [run.folder / "checkpoints" / f"step-{step:08d}" / "model.safetensors" for step in (8, 12)]
    assert same(average_files(files), kept(run.folder))
    assert not same(weights_at(run.folder, 12), kept(run.folder))


def test_without_an_average_the_weights_themselves_are_kept(trained: Any, scripted: Any) -> None:
    scripted(10)
    run = trained("training.max_steps=4", "training.ema_decay=0")
    assert run.at.best_is == "weights at step 4" and same(weights_at(run.folder, 4, False), kept(run.folder))


def test_patience_ends_a_run_and_the_best_is_kept(trained: Any, scripted: Any) -> None:
    left = scripted(5, 6, 4, 6, 9)
    run = trained("training.patience=2", "training.validate_every=2", "training.save_every=2", "training.max_steps=40")
    assert run.at.step == 8 and list(left) == [9] and run.at.ended == "no better for 2 validations"
    assert (run.at.best, run.at.best_step) == (6, 4)
    assert same(weights_at(run.folder, 4), kept(run.folder)) and not same(weights_at(run.folder, 8), kept(run.folder))
    assert [line["step"] for line in losses(run.folder) if line["kind"] == "dev"] == [2, 4, 6, 8]


def test_validation_comes_after_each_epoch_or_when_asked(trained: Any) -> None:
    run = trained("data.max_sentences=60", "training.max_epochs=2")
    dev = [line for line in losses(run.folder) if line["kind"] == "dev"]
    batches = run.at.step // 2
    assert run.at.ended == "2 epochs" and [line["step"] for line in dev] == [batches, 2 * batches]
    assert {"bleu", "chrf", "exact_match", "dev_nll", "dev_perplexity", "weights"} <= set(dev[0])
    asked = trained("data.max_sentences=60", "training.max_steps=5", "training.validate_every=2", name="asked")
    assert [line["step"] for line in losses(asked.folder) if line["kind"] == "dev"] == [2, 4, 5]  # the end is validated


def test_freed_memory_is_given_back_now_and_then(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from allyouneed.training import engine

    steps: list[int] = []
    monkeypatch.setattr(engine, "TRIM_EVERY", 3)
    monkeypatch.setattr(engine, "give_back_freed_memory", lambda: steps.append(len(steps)))
    trained("training.max_steps=7", "training.validate_every=100")
    assert len(steps) == 2
    give_back_freed_memory()  # the real one does no harm


def test_the_dev_loss_is_that_of_a_naive_loop(trained: Any) -> None:
    run = trained("training.max_steps=3", "training.ema_decay=0", "data.batch_tokens=64")
    opened, val = load(run.folder), corpus().val
    total = sum(opened.score(val.source, val.target))
    count = sum(len(ids) + 1 for ids in opened.vocabulary.target.encode(val.target))
    assert losses(run.folder)[-1]["dev_nll"] == pytest.approx(-total / count, rel=1e-5)


def test_minutes_end_a_run_and_shape_the_cosine(trained: Any) -> None:
    run = trained("training.max_minutes=0.01", "training.validate_every=1000")
    assert run.at.ended == "0.01 minutes" and 0.6 <= run.at.seconds < 20
    rates = [line["learning_rate"] for line in losses(run.folder) if line["kind"] == "train"]
    assert rates[-1] < max(rates) / 2


def test_a_run_without_a_limit_gets_patience(data: Path) -> None:
    from allyouneed.recipes.train import _with_limit

    settings = make_settings(translation.KIND, "transformer", None, "default", [f"data.path={data}"])
    t = _with_limit(translation.KIND, settings).training
    assert (t.max_epochs, t.patience) == (30, 8)
    t = _with_limit(translation.KIND, override(settings, ["training.max_steps=3"])).training
    assert (t.max_epochs, t.patience) == (None, 0)


def test_it_learns(trained: Any) -> None:
    run = trained("training.max_steps=60", "model.dropout=0", "training.ema_decay=0.9", "training.validate_every=30")
    train = [line["loss"] for line in losses(run.folder) if line["kind"] == "train"]
    dev = [line["dev_nll"] for line in losses(run.folder) if line["kind"] == "dev"]
    assert np.mean(train[-5:]) < 0.85 * train[0] and dev[1] < dev[0] < train[0]


def test_bfloat16_autocast_learns(trained: Any) -> None:
    if not has_bfloat16(torch.device("cpu")):
        pytest.skip("this processor has no bfloat16 products")
    words = ["training.max_steps=30", "model.dropout=0", "training.validate_every=100"]
    narrow, wide = trained(*words, "training.precision=bfloat16", name="narrow"), trained(*words, name="wide")
    low, high = ([line["loss"] for line in losses(run.folder) if line["kind"] == "train"] for run in (narrow, wide))
    assert low[-1] < 0.9 * low[0] and low != high and low == pytest.approx(high, rel=0.05)
    assert {tensor.dtype for tensor in kept(narrow.folder).values()} == {torch.float32}


def test_auto_precision_asks_the_processor() -> None:
    cpu = torch.device("cpu")
    for precision, narrow in (("float32", False), ("bfloat16", True), ("auto", has_bfloat16(cpu))):
        with autocast(precision, cpu):
            assert (nn.Linear(4, 4)(torch.randn(2, 4)).dtype == torch.bfloat16) is narrow


# ---- data of other kinds


def prepared(folder: Path, *assignments: str) -> translation.Prepared:
    settings = make_settings(translation.KIND, "transformer", None, "default", [*SETTINGS, *assignments])
    folder.mkdir()
    return translation.prepare(settings, folder, False)


def test_pairs_that_are_too_long_or_empty_are_counted_and_left_out(data: Path, tmp_path: Path) -> None:
    text = corpus().train
    source, target = list(text.source), list(text.target)
    source[4], target[9], target[30] = "Wort " * 120, "", "word " * 120
    write_corpus(tmp_path / "text")
    write_pair(tmp_path / "text", "train", ParallelText(source, target))
    found = prepared(tmp_path / "run", f"data.path={tmp_path / 'text'}", "data.max_length=100")
    note = next(line for line in found.notes if "left out" in line)
    assert note == "3 pairs are empty or longer than 100 pieces and are left out: lines 5, 10, 31"
    assert "240 training pairs" in found.notes[0] and len(np.concatenate(found.task.plan(0))) == 237
    assert found.task.lengths(0).max() <= 101
    waste = padding_waste(found.task.plan(0), found.task.lengths(0))
    assert found.notes[-1] == f"{len(found.task.plan(0))} batches an epoch, {waste:.1%} of their cells are padding"
    clean = prepared(tmp_path / "clean", f"data.path={data}")
    assert not any("left out" in line for line in clean.notes)


def test_nothing_left_is_an_error_of_the_user(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.max_length=1 pieces"):
        prepared(tmp_path / "run", f"data.path={data}", "data.max_length=1")


LINES = ["Anna sieht den Park.", "", "Der Arzt kauft ein Buch."]


def usable(folder: Path, lines: Sequence[str] = LINES) -> Any:
    """The opened run, having translated."""
    run = load(folder)
    found = run.translate(list(lines))
    assert len(found) == len(lines) and not any(new for old, new in zip(lines, found, strict=True) if not old)
    return run


@pytest.mark.parametrize("tie", ["all", "none"])
def test_separate_vocabularies(trained: Any, tie: str) -> None:
    run = trained("data.joint=false", "training.max_steps=6", f"model.tie={tie}", "data.vocab_size=400")
    assert not (run.folder / "tokenizer.json").exists()
    opened = usable(run.folder)
    source, target = opened.vocabulary
    assert source is not target and source.encode(["Anna"]) and source.encode(["sieht"]) != target.encode(["sieht"])
    model = opened.settings.model
    assert (model.source_vocab_size, model.vocab_size) == (len(source), len(target))
    assert model.tie == ("decoder" if tie == "all" else "none")
    assert opened.model.source.embedding.table.weight.shape[0] == len(source)
    assert opened.model.head.weight.shape[0] == len(target)


def test_learned_positions_set_the_limits(trained: Any, tmp_path: Path) -> None:
    text = corpus()
    val = ParallelText(
        [*text.val.source, "Anna sieht den Park. " * 20], [*text.val.target, "Anna sees the park. " * 20]
    )
    folder = write_corpus(tmp_path / "text")
    write_pair(folder, "val", val)
    words = ["model.positions=learned", "model.positions_length=60", "training.max_steps=4"]
    run = trained(*words, path=folder)  # a sentence beyond the positions stands in val: cut, and no crash
    opened = usable(run.folder)
    assert opened.settings.decoding.max_source == 60 - 1 - 5
    assert opened.model.source.positions.table.shape == (60, 16)
    with pytest.raises(UserError, match=r"line 1 has .* decoding\.max_source=54"):
        opened.translate(["Anna sieht den Park. " * 20])
    assert len(opened.translate(["x" * 53])) == 1


@pytest.mark.parametrize("kind", ["unigram", "bytes"])
def test_other_subwords(trained: Any, kind: str) -> None:
    run = trained(f"data.subwords={kind}", "data.vocab_size=400", "training.max_steps=6")
    opened = usable(run.folder, [*LINES, "Ωmega 東京 🙂"])
    assert opened.vocabulary.source.round_trip(corpus().train.source) == []
    unknown = opened.vocabulary.source.unknown_rate(["東京 🙂"])
    assert unknown == 0 if kind == "bytes" else unknown > 0


def test_the_other_direction(trained: Any) -> None:
    run = trained("data.src=en", "data.tgt=de", "training.max_steps=4")
    facts = json.loads((run.folder / "data.json").read_text())
    assert (facts["source"], facts["target"]) == ("en", "de")
    usable(run.folder, ["Anna sees the park."])
    mirrored = translation.read_data(override(load(run.folder).settings, ["data.path=null", "data.pair=en-de"]).data)
    assert mirrored.train.source[:5] == corpus().train.target[:5] and mirrored.source_language == "en"


def test_the_fingerprint_knows_every_sentence() -> None:
    whole = corpus()
    same_again = Corpus(*whole)
    swapped = whole._replace(train=ParallelText(whole.train.target, whole.train.source))
    shorter = whole._replace(val=ParallelText(*(side[:-1] for side in whole.val)))
    prints = [translation.fingerprint(one) for one in (whole, same_again, swapped, shorter)]
    assert prints[0] == prints[1] and len(set(prints)) == 3


def test_checkpoints_are_kept_as_settings_say(trained: Any) -> None:
    run = trained("training.max_steps=11", "training.save_every=3", "training.keep_checkpoints=2")
    names = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
    assert names == ["step-00000006", "step-00000009", "step-00000011"]  # two by plan, and the end
    newest, warnings = latest(run.folder / "checkpoints")
    assert newest is not None and newest.step == 11 and not warnings


def test_sampled_spellings_stay_within_learned_positions(trained: Any) -> None:
    words = ["model.positions=learned", "model.positions_length=40", "data.bpe_dropout=0.9", "training.max_epochs=1"]
    assert "left out" in trained(*words).said


def test_a_preset_of_the_paper_brings_the_papers_training() -> None:
    """Vaswani et al. 2017, sections 5.1 to 5.4 and 6.1; what the user says still wins."""
    settings = make_settings(translation.KIND, "transformer", "paper-big", "default", ["training.warmup_steps=7"])
    training, decoding = settings.training, settings.decoding
    assert (settings.model.dim, settings.model.norm, settings.model.dropout) == (1024, "post", 0.3)
    assert (training.optimizer, training.schedule, training.learning_rate) == ("adam", "paper", 1)
    assert (training.beta1, training.beta2, training.eps, training.label_smoothing) == (0.9, 0.98, 1e-9, 0.1)
    assert (training.average_last, training.warmup_steps, training.weight_decay) == (20, 7, 0)
    assert (decoding.beam, decoding.length_penalty, decoding.penalty) == (4, 0.6, "gnmt")
    assert not decoding.fit_length_penalty
    base = make_settings(translation.KIND, "transformer", "paper-base", "default", [])
    assert (base.training.warmup_steps, base.training.average_last, base.data.batch_tokens) == (4000, 5, 50_000)

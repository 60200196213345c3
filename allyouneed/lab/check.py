"""`allyouneed check`: is this library right on this machine? Each check is a small function with an answer of its own.

A check returns a sentence of detail or raises `Wrong` with the reason. They are the laws of DESIGN.md, section 5, made
small: the test battery runs them on every system and wiring, this on the user's processor and build of torch.
"""

import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.live import Live
from rich.table import Table
from torch import Tensor, nn

from allyouneed.data.parallel import ParallelText
from allyouneed.data.subwords import BOS, EOS, PAD, Subwords
from allyouneed.decoding.beam import beam
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.penalties import PAPER
from allyouneed.decoding.scoring import score
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import padding_mask
from allyouneed.tasks.translation import Learning, TranslationTask, Vocabulary
from allyouneed.training.checkpoint import latest, load_tensors
from allyouneed.training.engine import Engine
from allyouneed.training.progress import Silent
from allyouneed.training.settings import TrainingSettings
from allyouneed.weights.torch_transformer import from_torch, to_torch

CLOSE = 1e-5


class Wrong(Exception):
    """A check that failed, and by how much."""


class Result(NamedTuple):
    title: str
    passed: bool
    detail: str
    seconds: float


def _near(ours: Tensor, theirs: Tensor, limit: float, what: str) -> float:
    """The largest difference; `Wrong` above the limit, or where something is not a number."""
    apart = float((ours - theirs).abs().max())
    if not apart <= limit:
        raise Wrong(f"{what} differ by {apart:.1e}, more than {limit:.0e}")
    return apart


def _tiny(seed: int = 0, vocab_size: int = 24, **numbers: object) -> EncoderDecoder:
    torch.manual_seed(seed)
    config = {"vocab_size": vocab_size, "dim": 32, "heads": 4, "ffn_dim": 64, "depth": 2, "dropout": 0.0, **numbers}
    return transformer(TransformerConfig.model_validate(config))


def _sentences(*lengths: int, vocab_size: int = 24) -> Tensor:  # b n, padded
    ids = torch.randint(4, vocab_size, (len(lengths), max(lengths)))
    return ids.masked_fill(torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None], PAD)


# ---- the model


def parity() -> str:
    """Outputs and gradients of torch.nn.Transformer, post-norm and pre-norm, with padding."""
    apart = max(_parity(norm_first) for norm_first in (False, True))
    return f"outputs and gradients within {apart:.0e}"


def _parity(norm_first: bool) -> float:
    reference = nn.Transformer(32, 4, 2, 2, 64, 0.0, batch_first=True, norm_first=norm_first)
    for parameter in reference.parameters():
        nn.init.normal_(parameter, std=0.2)  # its own start leaves biases zero, which would hide a swap
    reference.encoder.enable_nested_tensor = False
    model, _ = from_torch(reference, vocab_size=24)
    ids, x, y = _sentences(6, 4, 1), torch.randn(3, 6, 32), torch.randn(3, 5, 32)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)  # True hides there
    theirs = reference(x, y, tgt_mask=hidden, src_key_padding_mask=ids == PAD, memory_key_padding_mask=ids == PAD)
    mask = padding_mask(ids)
    ours = model.decoder(y, Context(memory=model.encoder(x, Context(mask=mask)), memory_mask=mask))
    apart = [_near(ours, theirs, CLOSE, "outputs")]
    theirs.square().mean().backward()
    ours.square().mean().backward()
    for parameter in model.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    gradients = to_torch(model)  # ours, by the reference's names
    for name, parameter in reference.named_parameters():
        assert parameter.grad is not None
        apart.append(_near(gradients[name], parameter.grad, CLOSE, f"gradients of {name}"))
    return max(apart)


def causality() -> str:
    """No gradient flows from an output to a later input, and some flows to every earlier one."""
    model, source, target = _tiny(), _sentences(7, 3), _sentences(6, 6)
    inputs: list[Tensor] = []

    def keep(_: nn.Module, __: object, out: Tensor) -> None:
        out.retain_grad()
        inputs.append(out)

    model.target.register_forward_hook(keep)
    for place in range(6):
        model(source, target)[:, place].square().sum().backward()
        grad = inputs.pop().grad
        assert grad is not None
        reached = grad.abs().sum((0, 2)) > 0  # n
        if reached[place + 1 :].any():
            raise Wrong(f"the output at position {place + 1} sees a later word")
        if not reached[: place + 1].all():
            raise Wrong(f"the output at position {place + 1} does not see every earlier word")
    return "no gradient reaches a later word"


@torch.no_grad()
def padding() -> str:
    """A sentence alone and the same beside longer ones, padded."""
    model, source, target = _tiny().double().eval(), _sentences(5, 2), _sentences(4, 4)
    alone = model(source[1:, :2], target[1:])
    beside = model(torch.nn.functional.pad(source, (0, 9)), torch.nn.functional.pad(target, (0, 3)))[1:, :4]
    return f"a sentence beside longer ones within {_near(beside, alone, 1e-12, 'logits with and without padding'):.0e}"


@torch.no_grad()
def stepping() -> str:
    """Decoding word by word from caches gives the logits of reading the whole text at once."""
    model, source, target = _tiny().double().eval(), _sentences(7, 4), _sentences(9, 9)
    whole, cache, apart = model(source, target), model.init_cache(source), 0.0
    for place in range(9):
        logits, cache = model.step(target[:, place], cache)
        apart = max(apart, _near(logits, whole[:, place], 1e-12, f"logits of step {place + 1}"))
    return f"9 steps from the cache within {apart:.0e} of the whole"


# ---- search


@torch.no_grad()
def _decided(vocab_size: int = 24) -> EncoderDecoder:
    """A model with opinions: one fresh from its initialisation finds all words alike, and ends at once or never."""
    model = _tiny(2, vocab_size, tie="none").eval()
    model.head.weight *= 4
    return model


def greedy_is_beam_1() -> str:
    model, source = _decided(), _sentences(*range(1, 17))
    one = [found[0] for found in beam(model, source, 1, max_lengths=12)]
    apart = sum(a.ids != b.ids for a, b in zip(one, greedy(model, source, max_lengths=12), strict=True))
    if apart:
        raise Wrong(f"{apart} of 16 outputs differ")
    return "16 outputs the same, word for word"


def exhaustive() -> str:
    """A beam that can hold everything finds the best of all outputs of up to 4 words out of 3."""
    model, source = _decided(vocab_size=6), _sentences(5, 3, 1, vocab_size=6)
    outputs = [ids for n in range(5) for ids in product((3, 4, 5), repeat=n)]  # 121
    table = torch.tensor([[*ids, *[PAD] * (4 - len(ids))] for ids in outputs])
    for sentence, found in zip(source, beam(model, source, len(outputs), max_lengths=4), strict=True):
        log_probs = score(model, sentence.expand(len(outputs), -1), table).log_prob.tolist()
        best, ids = max((p / PAPER(len(ids) + 1), ids) for p, ids in zip(log_probs, outputs, strict=True))
        if tuple(found[0].ids) != ids or abs(found[0].score - best) > CLOSE:
            raise Wrong(f"it found {found[0].ids} with score {found[0].score:.4f}, the best is {list(ids)}, {best:.4f}")
    return f"the best of all {len(outputs)} outputs, three times"


# ---- learning


def _learn(model: EncoderDecoder, source: Tensor, target: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """One update; the mean loss per word in nats before it."""
    begun = torch.cat([torch.full((len(target), 1), BOS), target[:, :-1]], dim=1)
    result = model.head.loss(model.hidden(source, begun), target)
    optimizer.zero_grad()
    (result.loss / result.tokens).backward()
    optimizer.step()
    return float(result.loss) / result.tokens


def _ended(ids: Tensor) -> Tensor:  # b n -> b n+1, the end token after each sentence
    return torch.nn.functional.pad(ids, (0, 1)).scatter(1, (ids != PAD).sum(1, keepdim=True), EOS)


def copying() -> str:
    """A small Transformer learns to repeat sentences of 3 to 7 words, which takes attention and positions."""
    model, steps = _tiny(vocab_size=14, depth=1), 400
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3, betas=(0.9, 0.98))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 4e-3 * min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
        batch = _ended(_sentences(*torch.randint(3, 8, (48,)).tolist(), vocab_size=14))
        _learn(model, batch, batch, optimizer)
    fresh = _sentences(*torch.randint(3, 8, (64,)).tolist(), vocab_size=14)
    outputs = greedy(model.eval(), _ended(fresh))
    right = sum(found.ids == [i for i in row if i != PAD] for found, row in zip(outputs, fresh.tolist(), strict=True))
    if right < 58:
        raise Wrong(f"after {steps} steps {right} of 64 new sentences are repeated; 58 are expected")
    return f"{right} of 64 new sentences repeated after {steps} steps"


def overfitting() -> str:
    """One batch learnt by heart: every part learns."""
    model, source, target = _tiny(), _sentences(7, 4, 2, 6), _sentences(6, 5, 3, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = [_learn(model, source, target, optimizer) for _ in range(120)]
    if not losses[-1] < 0.05:
        raise Wrong(f"the loss of one batch fell from {losses[0]:.2f} to {losses[-1]:.2f} only")
    return f"loss {losses[0]:.2f} to {losses[-1]:.3f}"


def resuming() -> str:
    """A run broken off at half and gone on with has the weights of one that was not, to the last bit."""
    lines = [" ".join(map(str, digits)) for digits in torch.randint(10, (160, 6)).tolist()]
    text = ParallelText(lines, [line[::-1] for line in lines])
    subwords = Subwords.train(lines, vocab_size=260)
    task = TranslationTask(text, ParallelText(lines[:2], lines[:2]), Vocabulary(subwords, subwords),
                           Learning(batch_tokens=256), DecodingSettings(beam=1))  # fmt: skip
    settings = TrainingSettings(max_steps=12, save_every=6, warmup_steps=4, precision="float32")

    def train(folder: Path, checkpoints: Path | None = None) -> dict[str, Tensor]:
        torch.manual_seed(1)
        model = _tiny(1, len(subwords), dropout=0.1)
        Engine(model, task, settings, folder, Silent(), 32).run(latest(checkpoints)[0] if checkpoints else None)
        return load_tensors(folder / "checkpoints" / "step-00000012" / "model.safetensors")

    with tempfile.TemporaryDirectory() as place:
        first, second = Path(place, "first"), Path(place, "second")
        first.mkdir()
        second.mkdir()
        whole = train(first)
        (first / "checkpoints" / "step-00000012").rename(Path(place, "end"))
        broken = train(second, first / "checkpoints")
    apart = [name for name in whole if not torch.equal(whole[name], broken[name])]
    if apart:
        raise Wrong(f"{len(apart)} of {len(whole)} tensors differ after resuming, {apart[0]} among them")
    return f"{len(whole)} tensors equal to the last bit after 6 + 6 steps"


CHECKS: dict[str, Callable[[], str]] = {
    "equal to torch.nn.Transformer": parity,
    "the future is not seen": causality,
    "padding changes nothing": padding,
    "cached = uncached": stepping,
    "beam 1 = greedy": greedy_is_beam_1,
    "beam = exhaustive search": exhaustive,
    "one batch is overfitted": overfitting,
    "a copy task is learned": copying,
    "a run resumes to the bit": resuming,
}


def run_check(title: str, check: Callable[[], str]) -> Result:
    """One check from a fixed seed; any exception is a failure with its reason."""
    begun = time.monotonic()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            passed, detail = True, check()
    except Exception as error:  # what a broken build of torch raises is beyond listing
        passed, detail = False, str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
    return Result(title, passed, " ".join(detail.split()), time.monotonic() - begun)


def run_checks(console: Console | None = None) -> bool:
    """Runs all checks and shows them as a table of ticks; whether all passed."""
    console = console or Console()
    table = Table("", "check", "", "seconds", box=None, title=f"torch {torch.__version__}", title_justify="left")
    results, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)  # the models are tiny: threads would only wait for one another
    with Live(table, console=console, auto_refresh=False) as live:
        for title, check in CHECKS.items():
            results.append(result := run_check(title, check))
            tick = "[green]✓[/green]" if result.passed else "[red]✗[/red]"
            table.add_row(tick, title, result.detail.replace("[", "\\["), f"{result.seconds:.1f}")
            live.refresh()
    torch.set_num_threads(threads)
    failed = [result.title for result in results if not result.passed]
    total = sum(result.seconds for result in results)
    verdict = f"{len(failed)} of {len(results)} checks failed" if failed else f"all {len(results)} checks passed"
    console.print(f"\n{verdict} in {total:.0f} seconds")
    return not failed

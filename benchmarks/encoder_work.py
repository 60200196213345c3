"""The work of the encoder benchmark: SST-2 in WordPiece and in batches, the same for every system, and the systems."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.models.bert import BertConfig, masked_lm, text_classifier
from allyouneed.nn.encoder_heads import NOTHING

DATA = Path(__file__).parents[2] / "shared" / "data" / "glue" / "SST-2" / "train.tsv.gz"
VOCABULARY, ROWS, MASKED = 8000, 128, 0.15
Runner = Callable[[Any], None]


class Batch(NamedTuple):
    ids: Tensor  # b n, some of them masked
    targets: Tensor  # b n, NOTHING where nothing is masked


class Work(NamedTuple):
    batches: list[Batch]
    vocab_size: int
    sentences: int
    padding: float  # the share of cells


def prepare(folder: Path) -> None:
    """The vocabulary, learnt once for all processes."""
    EncoderSubwords.train(sentences(), "wordpiece", VOCABULARY).save(folder / "tokenizer.json")


def sentences() -> list[str]:
    if not DATA.is_file():
        raise SystemExit(f"error: the benchmark reads SST-2 from {DATA}, which is not there")
    lines = gzip.decompress(DATA.read_bytes()).decode("utf-8").split("\n")[1:]
    return [line.rsplit("\t", 1)[0] for line in lines if line]


def sst2(folder: Path, by_length: bool, count: int) -> Work:
    """`count` batches of 128 sentences drawn with a seed, in the order drawn or each of like lengths."""
    subwords, lines = EncoderSubwords.load(folder / "tokenizer.json"), sentences()
    drawn = [lines[i] for i in np.random.default_rng(1).permutation(len(lines))[: count * ROWS]]
    rows = [subwords.single(ids, 128).ids for ids in subwords.encode(drawn)]
    if by_length:
        rows.sort(key=len)
    batches = [_batch(rows[start : start + ROWS], subwords) for start in range(0, len(rows), ROWS)]
    real = sum(map(len, rows))
    return Work(batches, len(subwords), len(rows), 1 - real / sum(batch.ids.numel() for batch in batches))


def _batch(rows: list[list[int]], subwords: EncoderSubwords) -> Batch:
    """Padded; 15 % of the words asked for, of which 80 % are masked, 10 % another word, 10 % as they were."""
    ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    draw = torch.Generator().manual_seed(len(rows[0]))
    asked = (torch.rand(ids.shape, generator=draw) < MASKED) & (ids > max(subwords.marks))
    kind = torch.rand(ids.shape, generator=draw)
    other = torch.randint(5, len(subwords), ids.shape, generator=draw)
    changed = ids.masked_fill(asked & (kind < 0.8), subwords.marks.mask)
    changed = torch.where(asked & (kind > 0.9), other, changed)
    return Batch(changed, ids.masked_fill(~asked, NOTHING))


def _stepper(model: nn.Module, loss: Callable[[Batch], Tensor]) -> Runner:
    """A training step in bfloat16 with AdamW."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-4, fused=True)

    def step(batch: Batch) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(batch)
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _theirs(vocab_size: int, name: str) -> Any:
    import transformers

    return getattr(transformers, name)(transformers.BertConfig(
        vocab_size=vocab_size, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
    ))  # fmt: skip


def train_ours(work: Work, folder: Path) -> Runner:
    model = masked_lm(BertConfig(vocab_size=work.vocab_size, pair="none"))

    def loss(batch: Batch) -> Tensor:
        found = model.head.loss(model.encode(batch.ids), batch.targets)
        return found.loss / found.tokens

    return _stepper(model, loss)


def train_theirs(work: Work, folder: Path) -> Runner:
    model = _theirs(work.vocab_size, "BertForMaskedLM")
    return _stepper(model, lambda b: model(input_ids=b.ids, attention_mask=(b.ids != 0).long(), labels=b.targets).loss)


def _reader(answer: Callable[[Tensor], Any]) -> Runner:
    """Inference in bfloat16."""

    def read(batch: Batch) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            answer(batch.ids)

    return read


def infer_ours(work: Work, folder: Path) -> Runner:
    return _reader(text_classifier(BertConfig(vocab_size=work.vocab_size)).eval())


def infer_theirs(work: Work, folder: Path) -> Runner:
    model = _theirs(work.vocab_size, "BertForSequenceClassification").eval()
    return _reader(lambda ids: model(input_ids=ids, attention_mask=(ids != 0).long()).logits)


def infer_onnx(work: Work, folder: Path) -> Runner:
    """Our model, exported, in float32: what ONNX Runtime has on a CPU without quantising."""
    from allyouneed.weights.onnx_encoder import OnnxEncoder, write

    config = BertConfig(vocab_size=work.vocab_size)
    subwords = EncoderSubwords.load(folder / "tokenizer.json")
    write("text-classification", text_classifier(config), config, subwords, folder)
    encoder = OnnxEncoder(folder, threads=torch.get_num_threads())
    return lambda batch: encoder(batch.ids) and None


RUNNERS: dict[str, dict[str, Callable[[Work, Path], Runner]]] = {
    "train": {"allyouneed": train_ours, "transformers": train_theirs},
    "infer": {"allyouneed": infer_ours, "transformers": infer_theirs, "onnxruntime": infer_onnx},
}

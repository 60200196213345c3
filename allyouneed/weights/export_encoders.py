"""An encoder as a folder that Hugging Face `transformers` opens as its own BERT or ALBERT. The package is not needed."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.weights.encoder_names import Family, heads, read_off
from allyouneed.weights.encoders import FAMILIES


def obstacles(config: Any) -> list[str]:
    """Nothing: every setting of these models has a place there, but for training (`write` tells)."""
    return []


def write(
    system: str, task: str, model: nn.Module, config: Any, subwords: EncoderSubwords, folder: Path,
    labels: list[str] | None = None,
) -> list[str]:  # fmt: skip
    """Writes config, weights and tokenizer; returns what a user should know. `system` is the catalogue's name."""
    family = FAMILIES[system]
    tensors = named_tensors(family, task, model, config)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_config(family, task, config, labels), indent=1))
    write_tokenizer(subwords, folder, config.positions_length)
    return _notes(task, config)


def named_tensors(family: Family, task: str, model: nn.Module, config: Any) -> dict[str, Tensor]:
    """Our weights by the names of transformers, a tied table once."""
    state = model.state_dict()
    pooled = any(name.startswith("body.pooler.") for name in state)
    body = family.body(config) + (family.pooler if pooled else [])
    paired = task == "masked-lm" and config.pair != "none"
    return {**read_off(state, body, family.prefix, "body."), **read_off(state, heads(family, task, paired))}


def _config(family: Family, task: str, config: Any, labels: list[str] | None) -> dict[str, Any]:
    classes = {"text-classification": config.labels, "tagging": config.labels}.get(task, 2)
    names = labels or [f"LABEL_{index}" for index in range(classes)]
    fits = [name for name, served in family.architectures.items() if served == task]
    paired = task == "masked-lm" and config.pair != "none"
    return {
        "model_type": family.name,
        "architectures": [fits[0] if paired or len(fits) == 1 else fits[-1]],
        **family.published(config),
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def write_tokenizer(subwords: EncoderSubwords, folder: Path, longest: int) -> None:
    """tokenizer.json with BERT's marks put around texts and pairs, its configuration, and vocab.txt for WordPiece."""
    subwords.save(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    marks = {name: tokenizer.id_to_token(index) for name, index in subwords.marks._asdict().items()}
    cls, sep = marks["cls"], marks["sep"]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, subwords.marks.cls), (sep, subwords.marks.sep)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # takes tokenizer.json as it is; the others build their own
        "model_max_length": longest,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name}_token": text for name, text in marks.items()},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False))
    if isinstance(tokenizer.model, models.WordPiece):
        pieces = [tokenizer.id_to_token(index) or f"[gap {index}]" for index in range(len(subwords))]
        (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in pieces), encoding="utf-8")


def _notes(task: str, config: Any) -> list[str]:
    notes = []
    if getattr(config, "feedforward_dropout", 0.0):
        notes.append("transformers' ALBERT has no dropout on the feed-forward's output: it matters to training alone")
    if task == "masked-lm" and config.pair_dropout != getattr(config, "head_dropout", config.pair_dropout):
        notes.append("transformers gives the head of pairs another dropout: it matters to training alone")
    return notes

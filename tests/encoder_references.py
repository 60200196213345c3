"""Tiny random encoders of `transformers`, saved to disk as their users find them, and batches to compare them on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allyouneed.weights.encoder_names import Family
from allyouneed.weights.export_encoders import named_tensors

TASKS = {
    "ForPreTraining": "masked-lm",
    "ForMaskedLM": "masked-lm",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "tagging",
    "ForQuestionAnswering": "question-answering",
}
NUMBERS = {
    "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 24,
    "max_position_embeddings": 12, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


def reference(folder: Path, family: str, head: str, **changes: Any) -> Any:
    """A `BertForMaskedLM`, an `AlbertModel` ..., every weight random, in eval mode; saved to the folder."""
    transformers = pytest.importorskip("transformers")
    own = {"embedding_size": 8, "classifier_dropout_prob": 0.0} if family == "Albert" else {"classifier_dropout": 0.0}
    labels = {"num_labels": 3} if head in ("ForSequenceClassification", "ForTokenClassification") else {}
    numbers = {**NUMBERS, **own, **labels, **changes}
    config = getattr(transformers, f"{family}Config")(**numbers, attn_implementation="eager")
    model = getattr(transformers, family + head)(config).eval()
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=1.0 if name.endswith("orm.weight") else 0.0, std=0.3)
    model.save_pretrained(folder)
    return model


def batch() -> tuple[Tensor, Tensor]:
    """Ids `3 9` with padding, and segments."""
    ids = torch.randint(5, 30, (3, 9))
    ids[1, 5:], ids[2, 2:] = 0, 0
    segments = (torch.arange(9) > 3).long().expand(3, 9) * (ids != 0)
    return ids, segments


def theirs(model: Any, ids: Tensor, segments: Tensor | None) -> list[Tensor]:
    """The reference's answers, as ours come."""
    out = model(input_ids=ids, attention_mask=(ids != 0).long(), token_type_ids=segments)
    if "start_logits" in out:
        return [torch.stack([out.start_logits, out.end_logits], dim=-1)]
    names = ("logits", "prediction_logits", "seq_relationship_logits", "sop_logits")
    return [out[name] for name in names if name in out]


def ours(model: nn.Module, ids: Tensor, segments: Tensor | None) -> list[Tensor]:
    answer = model(ids, segments)
    return [answer] if isinstance(answer, Tensor) else [part for part in answer if part is not None]


def real_parts(answers: list[Tensor], ids: Tensor) -> list[Tensor]:
    """Answers per token without those of padding; answers per text as they are."""
    return [answer[ids != 0] if answer.shape[:2] == ids.shape else answer for answer in answers]


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def same_outputs(model: Any, mine: nn.Module, ids: Tensor, segments: Tensor | None) -> None:
    pairs = zip(ours(mine, ids, segments), theirs(model, ids, segments), strict=True)
    for found, expected in pairs:
        assert found.shape == expected.shape and expected.std() > 0.02  # there is something to compare
        for a, b in zip(*(real_parts([side], ids) for side in (found, expected)), strict=True):
            close(a, b)


def same_gradients(model: Any, opened: Any, family: Family, ids: Tensor, segments: Tensor) -> int:
    """Gradients of the mean square of all answers, by transformers' names; how many were compared."""
    for answers in (theirs(model, ids, segments), ours(opened.model, ids, segments)):
        sum(part.square().mean() for part in real_parts(answers, ids)).backward()  # type: ignore[union-attr]
    expected = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    for parameter in opened.model.parameters():
        parameter.data = parameter.grad
    found = named_tensors(family, opened.task, opened.model, opened.config)
    for name, gradient in expected.items():
        close(found[name], gradient)
    assert set(found) == set(expected)
    return len(found)

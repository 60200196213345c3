"""Scores of a classifier from its logits: accuracy with its interval, top 5, macro F1 and cross-entropy."""

import math
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from allyouneed.tasks.classification_scores import confusion, scores

TOP = 5


def confused(logits: Tensor, labels: Tensor) -> np.ndarray:  # n classes, n -> true x found
    """How often each class was taken for each; a label of -1 is none and is left out."""
    known = labels >= 0
    return confusion(labels[known].cpu().numpy(), logits[known].argmax(-1).cpu().numpy(), logits.shape[1])


def class_scores(logits: Tensor, labels: Tensor) -> dict[str, float]:  # n classes, n
    """Shares from 0 to 1, and `dev_nll`, the mean cross-entropy in nats; a label of -1 is none and is left out.

    Macro F1 is the mean over the classes that occur or are predicted, as in scikit-learn.
    """
    table = confused(logits, labels)
    there = table.sum(0) + table.sum(1) > 0
    if not there.any():
        return {"accuracy": 0.0, "macro_f1": 0.0, "dev_nll": math.inf}
    judged = scores(table[there][:, there])
    found = {"accuracy": judged["accuracy"], "macro_f1": judged["macro_f1"]}
    logits, labels = logits[labels >= 0].double(), labels[labels >= 0]
    if logits.shape[1] > TOP:
        near = (logits.topk(TOP, -1).indices == labels[:, None]).any(-1)
        found["top5"] = float(near.double().mean())
    return {**found, "dev_nll": float(F.cross_entropy(logits, labels))}


def interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: it stays between 0 and 1, and is honest for few images."""
    if count == 0:
        return 0.0, 1.0
    z, p = 1.96, right / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def full_class_scores(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """The same with a 95 % interval of the accuracy and the number of images."""
    found = class_scores(logits, labels)
    count = int((labels >= 0).sum())
    low, high = interval(round(found["accuracy"] * count), count)
    nll = found.pop("dev_nll")
    return {**found, "nll": nll, "accuracy_low": low, "accuracy_high": high, "images": count}

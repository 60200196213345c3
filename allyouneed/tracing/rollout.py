"""Attention rollout (Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928): how much of each input reached each output.

Each layer passes on half of what was there (its residual connection) and half of what it looked at; layers multiply.
Traps: rows must be divided by their own sums (a sum without keepdims divides columns instead), and a row that may see
nothing keeps what it had.
"""

from collections.abc import Sequence

import numpy as np


def rollout(layers: Sequence[np.ndarray]) -> list[np.ndarray]:  # h n n each -> n n each
    """After each layer, from the first: rows are outputs, columns inputs, and rows sum to one. Heads count alike."""
    reached, out = np.eye(layers[0].shape[-1]) if layers else np.eye(0), []
    for weights in layers:
        reached = step(weights) @ reached
        out.append(reached)
    return out


def step(weights: np.ndarray) -> np.ndarray:  # h n n -> n n
    """One layer: (mean of heads + I) / 2, rows divided by their sums."""
    passed = (np.asarray(weights, np.float64).mean(0) + np.eye(weights.shape[-1])) / 2
    normalised: np.ndarray = passed / passed.sum(-1, keepdims=True)
    return normalised

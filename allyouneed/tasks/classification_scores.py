"""Scores of classes against the true ones: accuracy, F1, Matthews correlation, the confusion matrix."""

from collections.abc import Sequence

import numpy as np


def confusion(true: Sequence[int] | np.ndarray, found: Sequence[int] | np.ndarray, classes: int) -> np.ndarray:
    """Counts, true classes in rows and found ones in columns."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (np.asarray(true, dtype=np.int64), np.asarray(found, dtype=np.int64)), 1)
    return table


def scores(table: np.ndarray) -> dict[str, float]:
    """Of a confusion matrix: accuracy, F1 (of class 1 where there are two, else the mean over classes), and Matthews'.

    Matthews correlation for any number of classes is Gorodkin's (2004); 0 where all answers are one class.
    """
    total, right = table.sum(), np.diag(table)
    rows, columns = table.sum(1), table.sum(0)
    f1 = 2 * right / np.maximum(rows + columns, 1)
    together = right.sum() * total - (rows * columns).sum()
    spread = float(total**2 - (columns**2).sum()) * float(total**2 - (rows**2).sum())
    return {
        "accuracy": float(right.sum() / max(total, 1)),
        "f1": float(f1[1] if len(table) == 2 else f1.mean()),
        "macro_f1": float(f1.mean()),
        "mcc": float(together / np.sqrt(spread)) if spread > 0 else 0.0,
    }

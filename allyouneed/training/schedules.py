"""Learning rates as a pure function of the step: nothing to save, nothing that can drift after a resume."""

import math

from allyouneed.training.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, step: int, dim: int, progress: float) -> float:
    """The learning rate of update `step` (counted from 1) of a model of width `dim`.

    `progress` is the share of the run that is done, 0 to 1; the cosines and linear read it. With L the
    `learning_rate` setting, w the warm-up and ramp = min(1, step / w):

    - paper: L dim^-0.5 min(step^-0.5, step w^-1.5), equation 3 of Vaswani et al. 2017 with L = 1
    - inverse_sqrt: L ramp sqrt(w / max(step, w)), the same curve with its peak given directly
    - cosine: L ramp (f + (1 - f) (1 + cos(pi progress)) / 2), f the final fraction; SGDR, 2017
    - cosine_restarts: the same with progress running from 0 to 1 in each of restarts + 1 equal cycles
    - linear: L ramp (f + (1 - f) (1 - progress)), BERT's and ALBERT's with f = 0
    - constant: L ramp

    The trap: a run that ends by the clock has a progress that depends on the clock, so only runs that end by
    steps or epochs repeat bit by bit.
    """
    if step < 1:
        raise ValueError(f"steps count from 1, but step is {step}")
    warmup = float(max(settings.warmup_steps, 1))
    peak, ramp = settings.learning_rate, min(1.0, step / warmup)
    if settings.schedule == "paper":
        return peak / math.sqrt(dim) * min(1 / math.sqrt(step), step * warmup**-1.5)
    if settings.schedule == "inverse_sqrt":
        return peak * ramp * math.sqrt(warmup / max(step, warmup))
    if settings.schedule == "cosine":
        return peak * ramp * _cosine(progress, 1, settings.final_fraction)
    if settings.schedule == "cosine_restarts":
        return peak * ramp * _cosine(progress, settings.restarts + 1, settings.final_fraction)
    if settings.schedule == "linear":
        return peak * ramp * (1 - (1 - settings.final_fraction) * min(max(progress, 0.0), 1.0))
    return peak * ramp


def _cosine(progress: float, cycles: int, final: float) -> float:
    """From 1 down to `final` in each of the cycles; the very end belongs to the last cycle."""
    progress = min(max(progress, 0.0), 1.0)
    phase = 1.0 if progress == 1.0 else progress * cycles % 1.0
    return final + (1 - final) * (1 + math.cos(math.pi * phase)) / 2

"""The ``training.*`` settings: how a model is trained, whatever the model and the task."""

from typing import Literal

from pydantic import Field, model_validator

from allyouneed.settings import Settings


class TrainingSettings(Settings):
    """Numbers of one training run. Steps are optimiser updates; rates are per update."""

    seed: int = Field(
        1,
        ge=0,
        lt=2**32,
        description="Seed of weights, batches and dropout; the same seed gives the same run.",
    )
    threads: int = Field(0, ge=0, description="Processor threads that torch uses; 0 leaves it to torch.")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto",
        description="Arithmetic of the forward pass; auto is bfloat16 autocast where the processor has it.",
    )
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp", description="With several processes: ddp copies the model to each, fsdp shards it over them."
    )

    optimizer: Literal["adamw", "adam", "lamb"] = Field(
        "adamw",
        description="adamw shrinks weights beside the gradient step, adam adds weight decay to the gradient; lamb "
        "scales each layer's step to its weights, for large batches.",
    )
    learning_rate: float = Field(
        1.5e-3,
        gt=0,
        description="Peak learning rate; for the paper schedule the factor before dim^-0.5 (1 there).",
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay rate of the mean of gradients.")
    beta2: float = Field(0.98, ge=0, lt=1, description="Adam's decay rate of the mean of squared gradients.")
    eps: float = Field(1e-9, gt=0, description="Adam's small number in the denominator.")
    weight_decay: float = Field(
        0.01, ge=0, description="Pull of weights towards zero, multiplied by the learning rate; 0 is none."
    )
    clip_norm: float = Field(
        1.0,
        ge=0,
        description="Gradients longer than this Euclidean norm are scaled down to it; 0 is no limit.",
    )
    accumulate: int = Field(
        1, ge=1, description="Batches whose gradients are added up, weighted by true tokens, for one update."
    )

    schedule: Literal["paper", "inverse_sqrt", "cosine", "cosine_restarts", "linear", "constant"] = Field(
        "cosine",
        description="Course of the learning rate after its linear warm-up; the formulas are in schedules.py.",
    )
    warmup_steps: int = Field(
        500, ge=0, description="Updates over which the learning rate rises to its peak; 0 starts at the peak."
    )
    restarts: int = Field(
        3,
        ge=1,
        description="How often cosine_restarts returns to the peak, at equal distances over the run.",
    )
    final_fraction: float = Field(
        0.0, ge=0, le=1, description="Share of the peak learning rate that cosine and linear end with."
    )

    max_steps: int | None = Field(None, ge=1, description="Stop after this many updates; null sets no limit.")
    max_epochs: int | None = Field(
        None, ge=1, description="Stop after this many passes over the training data; null sets no limit."
    )
    max_minutes: float | None = Field(
        None, gt=0, description="Stop after this many minutes of training; null sets no limit."
    )
    patience: int = Field(
        0,
        ge=0,
        description="Stop after this many validations in a row without improvement; 0 never stops so.",
    )
    validate_every: int = Field(0, ge=0, description="Updates between validations; 0: after each epoch.")
    save_every: int = Field(500, ge=1, description="Updates between checkpoints.")
    keep_checkpoints: int = Field(
        5, ge=1, description="The newest checkpoints that stay on disk; older ones are deleted."
    )
    log_every: int = Field(20, ge=1, description="Updates between lines of metrics.jsonl and of TensorBoard.")

    ema_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the exponential moving average of weights per update; 0 is none.",
    )
    average_last: int = Field(
        0, ge=0, description="Average the weights of the last k checkpoints after training; 0 is none."
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="Probability eps that the target spreads over other classes; 0 is none."
    )
    label_smoothing_convention: Literal["torch", "tensor2tensor", "fairseq"] = Field(
        "torch",
        description="How eps is spread over V classes: torch gives eps/V to all, so that the right one holds "
        "1 - eps + eps/V; tensor2tensor and fairseq give eps/(V-1) to each of the others.",
    )
    rdrop: float = Field(
        0.0,
        ge=0,
        description="Weight of R-Drop, the divergence between two passes with other dropout; 0 is none.",
    )

    @model_validator(mode="after")
    def _averages_what_is_kept(self) -> "TrainingSettings":
        if self.average_last > self.keep_checkpoints:
            raise ValueError(
                f"average_last={self.average_last} checkpoints cannot be averaged when only "
                f"keep_checkpoints={self.keep_checkpoints} are kept; raise keep_checkpoints"
            )
        return self

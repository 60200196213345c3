"""The settings of parallel text, torch-free."""

from typing import Literal

from pydantic import Field, model_validator

from allyouneed.settings import Settings


class ParallelSettings(Settings):
    """Where parallel text comes from, and how it becomes batches."""

    path: str | None = Field(None, description="Folder with train.de train.en val.de ..., or one TSV, CSV or JSONL file; "
                             "none: the embedded grammar.")  # fmt: skip
    pair: Literal["de-en", "en-de", "zh-en", "en-zh"] = Field(
        "de-en", description="Languages of the embedded grammar, used where there is no path."
    )
    src: str | None = Field(None, description="Source language: the file suffix, or the column's name or number.")
    tgt: str | None = Field(None, description="Target language: the file suffix, or the column's name or number.")
    split_seed: int = Field(1, description="Seed of the automatic split of a single file.")
    subwords: Literal["bpe", "unigram", "bytes"] = Field(
        "bpe", description="How words are cut; bytes never meet an unknown."
    )
    vocab_size: int = Field(8000, ge=260, description="Pieces to learn, for each side where they are separate.")
    joint: bool = Field(True, description="One vocabulary for both sides; it can be tied whole (model.tie=all).")
    bpe_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Merges left out at random in training (BPE-dropout); none: 0.1 for bpe in memory, else 0.",
    )
    batch_tokens: int = Field(4096, ge=16, description="Padded source and target tokens of a batch, together.")
    max_length: int = Field(
        250, ge=1, description="Longer training pairs (in pieces, either side) are left out and counted."
    )
    max_sentences: int | None = Field(None, ge=1, description="Use only the first so many training pairs.")
    store: Literal["auto", "memory", "disk"] = Field(
        "auto", description="Where training pairs wait: in memory, or tokenised in files on disk, for a corpus that memory "
        "does not hold; auto: on disk from 200 MB of text on, in a folder."
    )  # fmt: skip
    store_path: str | None = Field(
        None, description="Folder for the tokens on disk; runs on the same text share them. None: `tokens` in the run."
    )

    @property
    def merges_dropped(self) -> float:
        """`bpe_dropout` with its default, which depends on the kind of subwords and on the store."""
        if self.bpe_dropout is not None:
            return self.bpe_dropout
        return 0.1 if self.subwords == "bpe" and self.store != "disk" else 0.0

    @model_validator(mode="after")
    def _tokens_on_disk_stay(self) -> "ParallelSettings":
        if self.store == "disk" and self.bpe_dropout:
            raise ValueError(
                f"bpe_dropout={self.bpe_dropout:g} spells the words anew for each epoch, and tokens on disk are written "
                "once; set bpe_dropout to 0, or store to memory"
            )
        return self

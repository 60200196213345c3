"""The settings of text for encoders, torch-free: raw documents to pre-train on, labelled text to fine-tune on."""

from typing import Literal

from pydantic import Field

from allyouneed.settings import Settings


class DocumentSettings(Settings):
    """Where raw text comes from, how it is cut, and what of it is hidden."""

    path: list[str] | None = Field(None, description="Text files, tables or folders; blank lines end documents.")
    text: str | None = Field(None, description="The text's column, where a file is a table.")
    held_out: float = Field(0.02, gt=0, lt=0.5, description="Share of the documents that validation reads.")
    split_seed: int = Field(1, description="Seed that draws them.")
    subwords: Literal["wordpiece", "unigram"] = Field("wordpiece", description="BERT's pieces, or ALBERT's.")
    vocab_size: int = Field(8000, ge=200, description="Pieces to learn.")
    lowercase: bool = Field(True, description="Fold capitals and accents, as uncased BERT does.")
    length: int = Field(128, ge=8, description="Pieces of an instance at most, marks included.")
    batch_tokens: int = Field(8192, ge=8, description="Padded pieces of a batch.")
    masking: Literal["dynamic", "static"] = Field(
        "dynamic", description="New masks and pairs for every epoch, or the same in each (BERT's files)."
    )
    share: float = Field(0.15, gt=0, lt=1, description="Share of pieces that are hidden.")
    masked: float = Field(0.8, ge=0, le=1, description="Of these so many become [MASK] ...")
    kept: float = Field(0.1, ge=0, le=1, description="... so many stay, and the rest become a random piece.")
    whole_words: bool = Field(False, description="Hide all pieces of a word together.")
    ngram: int = Field(1, ge=1, le=10, description="Hide up to so many words in a row (ALBERT: 3).")


class LabelledSettings(Settings):
    """Where labelled text comes from."""

    path: str | None = Field(None, description="A TSV, CSV or JSONL table, or a folder of train, val and test tables.")
    text: str | None = Field(None, description="The text's column; guessed where it has a usual name.")
    pair: str | None = Field(None, description="The second text's column, where texts come in pairs.")
    label: str | None = Field(None, description="The label's column; guessed where it has a usual name.")
    split_seed: int = Field(1, description="Seed of the split of a single table.")
    max_rows: int | None = Field(None, ge=1, description="Use only so many training rows, drawn by split_seed.")
    subwords: Literal["wordpiece", "unigram"] = Field("wordpiece", description="Pieces to learn, from scratch only.")
    vocab_size: int = Field(8000, ge=200, description="How many, from scratch only.")
    lowercase: bool = Field(True, description="Fold capitals and accents, from scratch only.")
    length: int = Field(128, ge=8, description="Longer texts (in pieces, marks included) are cut at their end.")
    batch_tokens: int = Field(2048, ge=8, description="Padded pieces of a batch.")
    start: str | None = Field(None, description="A run or checkpoint folder to begin from (--from).")
    balance: bool = Field(False, description="Weigh classes by the inverse of their frequency.")

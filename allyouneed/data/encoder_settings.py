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
    short_length: int | None = Field(
        None, ge=8, description="A shorter length for the first part of the run (BERT: 128 of 512); null: none."
    )
    short_share: float = Field(0.9, gt=0, lt=1, description="How much of the run that part is, by steps or epochs.")
    short_batches: int | None = Field(
        None, ge=1, description="The same in batches; set from short_share and the limit."
    )
    batch_tokens: int = Field(8192, ge=8, description="Padded pieces of a batch.")
    start: str | None = Field(None, description="A run or checkpoint folder to go on from (--from).")
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
    metric: Literal["accuracy", "f1", "macro_f1", "mcc"] = Field(
        "accuracy", description="Score that chooses the best weights; f1 is that of the second of two labels."
    )


class TaggedSettings(Settings):
    """Where tagged text comes from."""

    path: str | None = Field(None, description="A file in columns or JSONL, or a folder of train, val and test files.")
    word: str | None = Field(None, description="Number of the words' column (null: 1), or JSONL's field of words.")
    tag: str | None = Field(None, description="Number of the tags' column (null: the last), or JSONL's field of tags.")
    split_seed: int = Field(1, description="Seed of the split of a single file.")
    max_rows: int | None = Field(None, ge=1, description="Use only so many training sentences, drawn by split_seed.")
    subwords: Literal["wordpiece", "unigram"] = Field("wordpiece", description="Pieces to learn, from scratch only.")
    vocab_size: int = Field(8000, ge=200, description="How many, from scratch only.")
    lowercase: bool = Field(True, description="Fold capitals and accents, from scratch only.")
    length: int = Field(128, ge=8, description="Longer sentences (in pieces, marks included) are read in parts.")
    batch_tokens: int = Field(2048, ge=8, description="Padded pieces of a batch.")
    start: str | None = Field(None, description="A run or checkpoint folder to begin from (--from).")
    metric: Literal["auto", "f1", "accuracy"] = Field(
        "auto", description="Score that chooses the best weights; auto: f1 where tags begin with B- or I-."
    )


class QuestionSettings(Settings):
    """Where questions about passages come from, and how long passages are read."""

    path: str | None = Field(None, description="SQuAD's JSON, a JSONL file, or a folder of train, val and test files.")
    split_seed: int = Field(1, description="Seed of the split of a single file; a passage is in one split alone.")
    max_rows: int | None = Field(None, ge=1, description="Use only so many training questions, drawn by split_seed.")
    subwords: Literal["wordpiece", "unigram"] = Field("wordpiece", description="Pieces to learn, from scratch only.")
    vocab_size: int = Field(8000, ge=200, description="How many, from scratch only.")
    lowercase: bool = Field(True, description="Fold capitals and accents, from scratch only.")
    length: int = Field(384, ge=16, description="Pieces of a window: question, part of the passage, and marks.")
    stride: int = Field(128, ge=1, description="Pieces by which the windows of a long passage advance.")
    question_length: int = Field(64, ge=1, description="Longer questions are cut at their end.")
    answer_length: int = Field(30, ge=1, description="Pieces of an answer at most, when one is chosen.")
    answerless: bool = Field(
        False, description="Whether a passage may hold no answer; set from the training questions."
    )
    batch_tokens: int = Field(4096, ge=8, description="Padded pieces of a batch.")
    start: str | None = Field(None, description="A run or checkpoint folder to begin from (--from).")

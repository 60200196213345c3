"""Our subwords as a tokenizer of `transformers`: the same JSON file, with the end token added to every text."""

from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from allyouneed.data.subwords import EOS, SPECIAL, Subwords


def write_tokenizer(subwords: Subwords, folder: Path, longest: int) -> None:
    """Writes tokenizer.json and its configuration; `AutoTokenizer.from_pretrained(folder)` gives ids as ours, and eos."""
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer.from_str(subwords.tokenizer.to_str())
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    pad, bos, eos, unk = SPECIAL
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, bos_token=bos, eos_token=eos, unk_token=unk,
        model_max_length=longest, clean_up_tokenization_spaces=False, padding_side="right",
        split_special_tokens=True,  # "</s>" in a user's text is text
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip

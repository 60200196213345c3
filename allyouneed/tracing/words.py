"""Two texts beside each other, with the words in which they differ marked."""

import re
from difflib import SequenceMatcher

from allyouneed.tracing.svg import element, escape

# Chinese, Japanese and Thai have no spaces: there each letter is compared by itself.
_UNSPACED = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
_WORDS = re.compile(rf"\s+|[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")


def words(text: str) -> list[str]:
    """Words, punctuation marks and spaces; joined they are the text again."""
    return _WORDS.findall(text)


def differing(translation: str, reference: str) -> tuple[str, str]:
    """Both as markup: words that the other has not in that place are in `<mark>`."""
    left, right = words(translation), words(reference)
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    same_left = {block.a + i for block in blocks for i in range(block.size)}
    same_right = {block.b + i for block in blocks for i in range(block.size)}
    return _marked(left, same_left), _marked(right, same_right)


def _marked(tokens: list[str], same: set[int]) -> str:
    """Neighbouring differing words, with the space between them, make one mark."""
    out, run = [], ""
    for i, token in enumerate(tokens):
        if i in same:
            out += [_mark(run), escape(token)]
            run = ""
        else:
            run += token
    return "".join([*out, _mark(run)])


def _mark(run: str) -> str:
    core = run.strip()
    if not core:
        return escape(run)
    before, _, after = run.partition(core)
    return escape(before) + element("mark", escape(core)) + escape(after)

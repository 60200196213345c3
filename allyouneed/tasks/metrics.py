"""Scores of translations, by sacreBLEU, with signatures, so that figures can be compared."""

from collections.abc import Sequence
from typing import Any

import sacrebleu


def _tokenizer(references: Sequence[str]) -> str:
    """13a, or sacreBLEU's `zh` where the references are Chinese, which 13a would count as one word a sentence."""
    text = "".join(references[:1000])
    chinese = sum("\u4e00" <= letter <= "\u9fff" for letter in text)
    return "zh" if chinese > len(text) / 4 else "13a"


def corpus_scores(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """BLEU (cased), chrF (both 0 to 100) and the share of translations that equal their reference."""
    exact = sum(h == r for h, r in zip(hypotheses, references, strict=True)) / max(len(references), 1)
    bleu = sacrebleu.corpus_bleu(list(hypotheses), [list(references)], tokenize=_tokenizer(references))
    chrf = sacrebleu.corpus_chrf(list(hypotheses), [list(references)])
    return {"bleu": bleu.score, "chrf": chrf.score, "exact_match": exact}


def full_scores(hypotheses: Sequence[str], references: Sequence[str], samples: int = 1000) -> dict[str, Any]:
    """The same with a 95 % bootstrap interval, the lower-cased figure beside it, and both signatures."""
    tokenizer = _tokenizer(references)
    metric = sacrebleu.BLEU(tokenize=tokenizer)
    bleu = metric.corpus_score(list(hypotheses), [list(references)], n_bootstrap=samples)
    lower = sacrebleu.corpus_bleu(list(hypotheses), [list(references)], tokenize=tokenizer, lowercase=True)
    character = sacrebleu.CHRF()
    chrf = character.corpus_score(list(hypotheses), [list(references)])
    mean, interval = getattr(bleu, "_mean", bleu.score), getattr(bleu, "_ci", 0.0)
    return {
        "bleu": bleu.score,
        "bleu_low": max(0.0, mean - interval),
        "bleu_high": min(100.0, mean + interval),
        "bleu_lc": lower.score,
        "chrf": chrf.score,
        "exact_match": corpus_scores(hypotheses, references)["exact_match"],
        "sentences": len(references),
        "signature": str(metric.get_signature()),
        "chrf_signature": str(character.get_signature()),
    }

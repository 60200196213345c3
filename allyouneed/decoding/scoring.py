"""The probability that a model gives to outputs that are already there."""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from allyouneed.data.subwords import BOS, EOS, PAD
from allyouneed.errors import UserError


class TeacherForced(Protocol):
    def __call__(self, source: Tensor, target: Tensor) -> Tensor: ...  # b m, b n -> b n v


class Scores(NamedTuple):
    log_prob: Tensor  # b: sums over the tokens and eos
    tokens: list[list[float]]  # for each sentence the log-probability of each of its tokens and, last, of eos


@torch.no_grad()
def score(model: TeacherForced, source: Tensor, target: Tensor) -> Scores:
    """Natural log-probabilities of `target` (b n: bare ids, right-padded) for `source` (b m), in float32.

    One teacher-forced pass. Like everywhere in decoding the ids come without bos and eos; both are added here
    and eos counts, so the ids of a hypothesis give its `log_prob` again. Put the model into eval mode first.
    Raises UserError where the target holds bos or eos already, which would be counted twice.
    """
    if bool(((target == BOS) | (target == EOS)).any()):
        raise UserError("the target holds bos or eos; give the bare token ids, both are added in scoring")
    first = target.new_full((len(target), 1), BOS)
    lengths = (target != PAD).sum(1, keepdim=True)  # b 1
    wanted = F.pad(target, (0, 1), value=PAD).scatter(1, lengths, EOS)  # b n+1
    real = wanted != PAD
    logits = model(source, torch.cat([first, target], dim=1))  # b n+1 v
    rows = F.log_softmax(logits[real], dim=-1, dtype=torch.float32)  # only what counts, all sentences in one list
    picked = rows.gather(1, wanted[real][:, None])[:, 0]
    log_probs = torch.zeros(wanted.shape, device=target.device).masked_scatter(real, picked)  # b n+1
    tokens = [row[: n + 1] for row, n in zip(log_probs.tolist(), lengths[:, 0].tolist(), strict=True)]
    return Scores(log_probs.sum(1), tokens)

"""Recording models that are not made of this library's parts: `nn.Transformer`, Hugging Face's, one's own.

Their attention is one of three calls, and a function mode sees all of them without a change to the model:
`F.scaled_dot_product_attention`, `F.multi_head_attention_forward` (`nn.MultiheadAttention`), or a softmax over keys that
is then multiplied by values ("eager"). Names are those of the modules that run at the time.

Two things differ from the library's own models. A softmax by hand has made its map already, so keeping it takes n x m.
And torch takes another way through `nn.TransformerEncoder` when somebody watches it in evaluation without gradients: the
same numbers but for rounding.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from allyouneed.nn.masks import causal_mask, combine
from allyouneed.tracing.looks import Look, Recording

MASKED = -5e3
"""Published codes mask by adding -1e4, the least number of the type, or minus infinity; no score is ever so low."""


class Scaled:
    """What a call of torch's attention did: softmax(q k^T scale + bias) over what may be seen."""

    def __init__(self, scale: float, bias: Tensor | None = None):
        self.scale, self.bias = scale, bias

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n m
        scores = (q @ k.transpose(-1, -2)).float() * self.scale
        scores = scores if self.bias is None else scores + self.bias
        if mask is None:
            return scores.softmax(-1)
        return scores.masked_fill(~mask, float("-inf")).softmax(-1).masked_fill(~mask, 0.0)

    def visible(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # 1 1 n m or as the mask
        every = torch.ones(1, 1, q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device)
        return every if mask is None else every & mask


class Projected(Scaled):
    """The same with a map after it, through which what was seen must go to be compared."""

    def __init__(self, scale: float, bias: Tensor | None, out: tuple[Tensor, Tensor | None]):
        super().__init__(scale, bias)
        self.out = out

    def finish(self, seen: Tensor) -> Tensor:  # b h n k -> b n e
        return F.linear(seen.transpose(1, 2).flatten(2), *self.out)


class Made:
    """A map that the model has made itself; its look has neither q nor k, and a mask of all cells."""

    def __init__(self, map: Tensor):
        self.map = map

    def weights(self, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        return self.map.float() * mask

    def visible(self, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        return mask

    def of(self, item: int) -> "Made":
        return Made(self.map[item : item + 1])


def parted(mask: Tensor | None, dims: int = 4) -> tuple[Tensor | None, Tensor | None]:
    """A mask of torch's as who may be seen, and what is added to the scores beside that."""
    if mask is None:
        return None, None
    mask = mask.detach()
    while mask.dim() < dims:
        mask = mask[None]
    if mask.dtype == torch.bool:
        return mask, None
    may = mask > MASKED
    bias = mask.float().masked_fill(~may, 0.0)
    return (None if bool(may.all()) else may), (bias if bool(bias.any()) else None)


def sdpa(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Look:  # fmt: skip
    """A call of `F.scaled_dot_product_attention`; its causal mask is aligned at the beginning."""
    q, k, v = (x.detach()[:, None] if x.dim() == 3 else x.detach().flatten(0, -4) for x in (query, key, value))
    if enable_gqa:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    n, m = q.shape[2], k.shape[2]
    mask, bias = parted(attn_mask)
    if is_causal:
        mask = combine(mask, causal_mask(n, n, q.device)[:, :m] if m <= n else F.pad(causal_mask(n, n), (0, m - n)))
    return Look(Scaled(q.shape[-1] ** -0.5 if scale is None else scale, bias), q, k, mask, v)


_MULTI_HEAD = inspect.signature(F.multi_head_attention_forward)


def multi_head(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Look | None:
    """A call of `F.multi_head_attention_forward`; its projections are made anew. None of what has keys of its own."""
    bound = _MULTI_HEAD.bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    if any(given[name] is not None for name in ("bias_k", "bias_v", "static_k", "static_v")) or given["add_zero_attn"]:
        return None
    texts = [given[name].detach() for name in ("query", "key", "value")]
    texts = [x if x.dim() == 3 else x[:, None] for x in texts]  # n b d
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    separate = given["use_separate_proj_weight"]
    weights = [given[name] for name in names] if separate else given["in_proj_weight"].chunk(3)
    biases = [None] * 3 if given["in_proj_bias"] is None else given["in_proj_bias"].chunk(3)
    q, k, v = (
        F.linear(x, w, b).unflatten(-1, (given["num_heads"], -1)).permute(1, 2, 0, 3)  # n b (h k) -> b h n k
        for x, w, b in zip(texts, weights, biases, strict=True)
    )
    mask, bias = _masks(given, q)
    out = (given["out_proj_weight"], given["out_proj_bias"])
    return Look(Projected(q.shape[-1] ** -0.5, bias, out), q, k, mask, v, crossing=given["query"] is not given["key"])


def _masks(given: dict[str, Any], q: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """torch's two masks, in which True is what may not be seen."""

    def turned(mask: Tensor | None) -> Tensor | None:
        return ~mask if mask is not None and mask.dtype == torch.bool else mask

    places, padding = turned(given["attn_mask"]), turned(given["key_padding_mask"])
    if places is not None and places.dim() == 3:  # (b h) n m
        places = places.unflatten(0, (-1, q.shape[1]))
    if padding is not None:
        padding = (padding if padding.dim() == 2 else padding[None])[:, None, None]  # b 1 1 m
    found = [parted(mask) for mask in (places, padding)]
    biases = [bias for _, bias in found if bias is not None]
    return combine(*(mask for mask, _ in found)), sum(biases[1:], biases[0]) if biases else None


class Watch(TorchFunctionMode):
    """Tells a recording of each call of attention, under the name of the module that runs."""

    def __init__(self, seen: Recording):
        super().__init__()
        self.recording = seen
        self.running: list[tuple[str, bool | None]] = []
        self.softmax: tuple[Tensor, Tensor] | None = None  # the last map made by hand, and who may be seen in it

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func in WATCHED and not torch.compiler.is_compiling() and self.recording.listening:
            with torch.no_grad():
                self.saw(func, args, kwargs, out)
        return out

    def saw(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        if func is F.scaled_dot_product_attention:
            look = sdpa(*args, **kwargs)
            self.keep(look._replace(output=out.detach().view(look.q.shape[:3] + out.shape[-1:])))
        elif func is F.multi_head_attention_forward:
            found = multi_head(args, kwargs)
            if found is not None:
                self.keep(found._replace(output=out[0].detach().transpose(0, 1) if out[0].dim() == 3 else out[0][None]))
        elif func in SOFTMAX and out.dim() == 4:
            self.softmax = out, args[0].detach() > MASKED
        elif func in PRODUCT and self.softmax is not None and args[0] is self.softmax[0]:
            self.by_hand(args[1].detach(), out.detach())
        elif func in PASSES and self.softmax is not None and args[0] is self.softmax[0]:
            self.softmax = out, self.softmax[1]

    def by_hand(self, v: Tensor, out: Tensor) -> None:
        assert self.softmax is not None
        (weights, visible), self.softmax = self.softmax, None
        weights = weights.detach()
        self.keep(Look(Made(weights), weights[..., :0], weights.mT[..., :0], visible, v, out))

    def keep(self, look: Look) -> None:
        name, crossing = self.running[-1] if self.running else ("", None)
        self.recording.keep(name, look if look.crossing is not None else look._replace(crossing=crossing))


SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax}
PRODUCT = {torch.matmul, Tensor.matmul, Tensor.__matmul__}
PASSES = {F.dropout, torch.dropout, Tensor.to, Tensor.type_as}
"""What may stand between a softmax and the product with the values."""
WATCHED = {F.scaled_dot_product_attention, F.multi_head_attention_forward, *SOFTMAX, *PRODUCT, *PASSES}


@contextmanager
def watching(seen: Recording, model: nn.Module) -> Iterator[None]:
    """Watches a model's calls of attention, and which module runs."""
    watch = Watch(seen)
    handles = []

    def enter(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            texts = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and x.dim() == 3]
            texts = [x for x in texts if x.is_floating_point()][:2]
            watch.running.append((name, texts[-1] is not texts[0] if texts else None))

        return hook

    def leave(name: str) -> Any:
        def hook(*_: Any) -> None:
            if watch.running and watch.running[-1][0] == name:  # else another's hook failed before it was entered
                watch.running.pop()

        return hook

    try:
        for name, module in model.named_modules():
            if type(module).__module__.startswith("torch.nn.modules.") and not any(module.children()):
                continue  # torch's own linear maps, norms and dropouts call no attention, and are most of the modules
            handles.append(module.register_forward_pre_hook(enter(name), with_kwargs=True))
            handles.append(module.register_forward_hook(leave(name), always_call=True))
        with watch:
            yield
    finally:
        for handle in handles:
            handle.remove()

"""LAMB: Adam whose step each layer scales to the length of its own weights. You et al. 2020, https://arxiv.org/abs/1904.00962"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lamb(Optimizer):
    """Algorithm 2 of the paper, bias correction included (ALBERT's code leaves it out), with phi the identity:

    m, v: Adam's means; u = m^ / (sqrt(v^) + eps) + weight_decay w; w <- w - lr (|w| / |u|) u.

    A ratio in which one of the two is zero is 1. A group with `adapt` False takes u as it is, as Adam would: norms and
    biases, which both published codes leave out. The trap: a ratio belongs to a whole tensor, and query, key and value
    are one tensor here where the published codes have three.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-6,
        weight_decay: float = 0.0, adapt: bool = True,
    ):  # fmt: skip
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, adapt=adapt))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    update = self._update(weight, group)
                    if group["adapt"]:
                        update.mul_(trust_ratio(weight, update))
                    weight.sub_(update.to(weight.dtype), alpha=group["lr"])
        return loss

    def _update(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """u: where Adam would go, the pull of weight decay included."""
        state, (beta1, beta2) = self.state[weight], group["betas"]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        step, gradient = float(state["step"]), weight.grad
        state["exp_avg"].lerp_(gradient, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        deviation = (state["exp_avg_sq"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
        update = (state["exp_avg"] / (1 - beta1**step)).div_(deviation)
        return update.add_(weight, alpha=group["weight_decay"])


def trust_ratio(weight: Tensor, update: Tensor) -> Tensor:
    """|w| / |u| as a tensor without axes; no number leaves the device for it."""
    of_weight, of_update = torch.linalg.vector_norm(weight), torch.linalg.vector_norm(update)
    known = (of_weight > 0) & (of_update > 0)
    return torch.where(known, of_weight / of_update, torch.ones_like(of_weight))

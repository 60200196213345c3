"""What a layer keeps in memory for its backward pass."""

from torch import Tensor, autograd, nn

from allyouneed.nn.attention import SelfAttention


def saved_bytes(layer: nn.Module, *inputs: object) -> float:
    """Bytes that the forward pass keeps for the backward pass, each storage once, parameters apart."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    own = {p.untyped_storage().data_ptr() for p in layer.parameters()}
    with autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = layer(*inputs)
    del result
    return float(sum(size for place, size in kept.items() if place not in own))


class PlainAttention(nn.Module):
    """Attention by its equation, softmax(q k / sqrt(d)) v: what the papers compare with, not the kernel that hides n²."""

    def __init__(self, layer: SelfAttention):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, context: object = None) -> Tensor:  # b n d -> b n d
        q, k, v = self.layer.qkv(x).unflatten(-1, (3, self.layer.heads, -1)).permute(2, 0, 3, 1, 4)  # b h n k each
        return ((q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)

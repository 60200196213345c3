"""The layers that `benchmarks.sequences` compares: all of width 256, with four heads where they have heads, causal.

Hashing: chunks of 64, four rounds, n / 64 buckets; windows: 128 positions back.
"""

from collections.abc import Callable

from torch import Tensor, nn

from allyouneed.nn.layer import Context, Layer

DIM, HEADS, WIDTH = 256, 4, 64
CHUNK, ROUNDS, WINDOW = 64, 4, 128


class Bare(nn.Module):
    """A layer of ours without anything around it."""

    def __init__(self, layer: Layer):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, Context())


def full(n: int) -> nn.Module:
    from allyouneed.nn.attention import CausalAttend, SelfAttention

    return Bare(SelfAttention(DIM, HEADS, CausalAttend()))


def windowed(n: int) -> nn.Module:
    from allyouneed.nn.local import LocalSelfAttention, WindowAttend

    return Bare(LocalSelfAttention(DIM, HEADS, WindowAttend(WINDOW)))


def lsh(n: int) -> nn.Module:
    from allyouneed.nn.lsh import LSHAttend
    from allyouneed.nn.shared_attention import SharedSelfAttention

    return Bare(SharedSelfAttention(DIM, HEADS, LSHAttend(HEADS, WIDTH, CHUNK, (n // CHUNK,), ROUNDS, causal=True)))


def shuffle_exchange(n: int) -> nn.Module:
    """A whole Beneš block of residual switches, which is what lets all places meet; it sees both sides."""
    from allyouneed.nn.shuffle import ResidualSwitchUnit, ShuffleExchange

    return Bare(ShuffleExchange(1, lambda _: ResidualSwitchUnit(DIM, nn.LayerNorm)))


def local_attention(n: int) -> nn.Module:
    """Our projections around the package's looking, at the same exact window."""
    from local_attention import LocalAttention

    from allyouneed.nn.attention import Attend, SelfAttention

    class Theirs(Attend):
        def __init__(self) -> None:
            super().__init__()
            self.look = LocalAttention(WINDOW, causal=True, exact_windowsize=True, use_rotary_pos_emb=False)

        def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
            return self.look(q, k, v)

    return Bare(SelfAttention(DIM, HEADS, Theirs()))


def reformer_pytorch(n: int) -> nn.Module:
    from reformer_pytorch import LSHSelfAttention

    return LSHSelfAttention(
        DIM, heads=HEADS, bucket_size=CHUNK, n_hashes=ROUNDS, causal=True, dim_head=WIDTH, full_attn_thres=0
    )


def hugging_face(n: int) -> nn.Module:
    from transformers import ReformerConfig
    from transformers.models.reformer.modeling_reformer import LSHSelfAttention

    class Theirs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.look = LSHSelfAttention(
                ReformerConfig(
                    hidden_size=DIM, num_attention_heads=HEADS, attention_head_size=WIDTH, is_decoder=True,
                    lsh_attn_chunk_length=CHUNK, num_hashes=ROUNDS, num_buckets=n // CHUNK, attn_layers=["lsh"],
                    lsh_attention_probs_dropout_prob=0.0, max_position_embeddings=n,
                )
            )  # fmt: skip
            self.out = nn.Linear(HEADS * WIDTH, DIM, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.look(x).hidden_states)

    return Theirs()


LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "full": full,
    "windowed": windowed,
    "lsh": lsh,
    "shuffle-exchange": shuffle_exchange,
    "local-attention": local_attention,
    "reformer-pytorch": reformer_pytorch,
    "hugging-face-reformer": hugging_face,
}


def reversible(depth: int, plain: bool) -> nn.Module:
    """`depth` pairs of LSH and feed-forward, as the Reformer has them, or the same layers under ordinary autograd."""
    from allyouneed.nn.feedforward import FeedForward
    from allyouneed.nn.lsh import LSHAttend
    from allyouneed.nn.reversible import Inside, ReversibleStack, run_both_streams
    from allyouneed.nn.shared_attention import SharedSelfAttention

    dim, heads = 64, 1  # narrow, so that weights and their gradients are nothing beside the text

    def inside(layer: Layer) -> Layer:
        return Inside(layer, nn.LayerNorm(dim))

    stack = ReversibleStack(
        "hf" * depth,
        h=lambda: inside(SharedSelfAttention(dim, heads, LSHAttend(heads, dim, CHUNK, (64,), 1, causal=True))),
        f=lambda: inside(FeedForward(dim, 4 * dim)),
    )

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stack = stack

        def forward(self, x: Tensor) -> Tensor:
            return run_both_streams(x, Context(), list(self.stack.layers.values()))

    return Plain() if plain else Bare(stack)

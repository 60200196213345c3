"""Frames: the shapes of whole text models.

`EncoderDecoder` is the one of every translator, `LanguageModel` of what writes on from its own words, `Tagger` of what
gives an answer at each place of its input.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from allyouneed.nn.embedding import TextInput
from allyouneed.nn.heads import VocabularyHead
from allyouneed.nn.layer import Context, Layer, PerSentence
from allyouneed.nn.masks import padding_mask


class DecoderCache(NamedTuple):
    """All that decoding keeps between two steps, as a value."""

    past: Tensor  # r t: the tokens read so far; their number is the next position
    memory: PerSentence  # memory b m d, its mask b 1 1 m
    layers: Any


class EncoderDecoder(nn.Module):
    """source ids -> tokens -> encoder -> memory; target ids -> tokens -> decoder (sees memory) -> head -> logits."""

    def __init__(
        self, source: TextInput, encoder: Layer, target: TextInput, decoder: Layer, head: VocabularyHead, pad: int = 0
    ):
        super().__init__()
        self.source = source
        self.encoder = encoder
        self.target = target
        self.decoder = decoder
        self.head = head
        self.pad = pad

    def encode(self, source: Tensor) -> Context:  # b m -> what the decoder sees
        mask = padding_mask(source, self.pad)
        memory = self.encoder(self.source(source), Context(mask=mask))
        return Context(memory=memory, memory_mask=mask)

    def hidden(self, source: Tensor, target: Tensor) -> Tensor:  # b m, b n -> b n d
        """The decoder's last layer, which `head` turns into logits or a loss."""
        return self.decoder(self.target(target), self.encode(source))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:  # b m, b n -> b n v
        return self.head.logits(self.hidden(source, target))

    def init_cache(self, source: Tensor) -> DecoderCache:
        """Reads the source once; the cache has one row per sentence until `select` makes it more."""
        context = self.encode(source)
        assert context.memory is not None and context.memory_mask is not None
        nothing = context.memory[:, :0]  # b 0 d
        layers = self.decoder.init_cache(nothing, context)
        return DecoderCache(source[:, :0], PerSentence((context.memory, context.memory_mask)), layers)

    def step(self, ids: Tensor, cache: DecoderCache) -> tuple[Tensor, DecoderCache]:  # r -> r v
        """Logits of the token after `ids`."""
        memory, mask = cache.memory.tensors
        x = self.target.at(ids, cache.past.shape[1])  # r 1 d
        x, layers = self.decoder.step(x, cache.layers, Context(memory=memory, memory_mask=mask))
        past = torch.cat([cache.past, ids[:, None]], dim=1)
        return self.head.logits(x[:, 0]), DecoderCache(past, cache.memory, layers)


class LanguageModelCache(NamedTuple):
    """All that writing on keeps between two steps, as a value."""

    past: Tensor  # r t: the tokens read so far; their number is the next position
    layers: Any


class LanguageModel(nn.Module):
    """ids -> tokens -> causal layers -> head -> logits of the token after each.

    It decodes as a translator does, through `init_cache` and `step`; its "source" says how many texts there are and
    nothing else, and a prompt is the forced beginning of what is written.
    """

    def __init__(self, target: TextInput, decoder: Layer, head: VocabularyHead):
        super().__init__()
        self.target = target
        self.decoder = decoder
        self.head = head

    def hidden(self, ids: Tensor) -> Tensor:  # b n -> b n d
        """The last layer, which `head` turns into logits or a loss."""
        return self.decoder(self.target(ids), Context())

    def forward(self, ids: Tensor) -> Tensor:  # b n -> b n v
        return self.head.logits(self.hidden(ids))

    def init_cache(self, source: Tensor) -> LanguageModelCache:  # b m, of which only b matters
        nothing = source[:, :0]
        return LanguageModelCache(nothing, self.decoder.init_cache(self.target(nothing), Context()))

    def step(self, ids: Tensor, cache: LanguageModelCache) -> tuple[Tensor, LanguageModelCache]:  # r -> r v
        """Logits of the token after `ids`."""
        x = self.target.at(ids, cache.past.shape[1])  # r 1 d
        x, layers = self.decoder.step(x, cache.layers, Context())
        past = torch.cat([cache.past, ids[:, None]], dim=1)
        return self.head.logits(x[:, 0]), LanguageModelCache(past, layers)


class Tagger(nn.Module):
    """ids -> tokens -> encoder -> head -> logits of an answer at each place."""

    def __init__(self, source: TextInput, encoder: Layer, head: VocabularyHead, pad: int = 0):
        super().__init__()
        self.source = source
        self.encoder = encoder
        self.head = head
        self.pad = pad

    def hidden(self, ids: Tensor) -> Tensor:  # b n -> b n d
        return self.encoder(self.source(ids), Context(mask=padding_mask(ids, self.pad)))

    def forward(self, ids: Tensor) -> Tensor:  # b n -> b n v
        return self.head.logits(self.hidden(ids))

"""The catalogue: one line per system. From the day a system stands here, the whole battery of laws runs on it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from allyouneed.models import (
    albert,
    bert,
    cnn,
    conv,
    gpt,
    lambda_networks,
    mixer,
    reformer,
    residual_shuffle_exchange,
    rnn,
    sandwich,
    shuffle_exchange,
    spach,
    transformer,
    universal,
    vit,
)
from allyouneed.settings import Settings


class System(NamedTuple):
    """What the rest of the house needs to know of a model.

    `builds` holds a builder for each task that the system serves, `allyouneed train TASK`; its main task comes first.
    What a model of a task offers is said by its frame (`nn/frames.py`) or, where there is none, by the task itself.
    """

    builds: Mapping[str, Callable[[Any], nn.Module]]
    config: type[Settings]
    tiny: Settings  # small enough for the battery of laws
    presets: Mapping[str, Settings]  # the first is the default
    orders: Callable[[Any], tuple[str, ...]]  # order strings of a config: encoder's, decoder's
    paper: str
    url: str
    adds: str  # what is new in it, for the table of models
    parity: str  # the references its weights were compared with, within 1e-5

    @property
    def task(self) -> str:
        """The main task."""
        return next(iter(self.builds))

    def build(self, config: Any) -> nn.Module:
        """The model for the main task."""
        return self.builds[self.task](config)


CATALOGUE: dict[str, System] = {
    "transformer": System(
        builds={"translation": transformer.transformer},
        config=transformer.TransformerConfig,
        tiny=transformer.TransformerConfig(vocab_size=24, dim=16, heads=2, ffn_dim=32, depth=2, dropout=0.0),
        presets=transformer.PRESETS,
        orders=transformer.orders,
        paper="Attention Is All You Need (Vaswani et al. 2017)",
        url="https://arxiv.org/abs/1706.03762",
        adds="attention instead of recurrence",
        parity="torch.nn.Transformer, Hugging Face Marian",
    ),
    "sandwich": System(
        builds={"translation": sandwich.translator, "language-model": sandwich.language_model},
        config=sandwich.SandwichConfig,
        tiny=sandwich.SandwichConfig(vocab_size=24, dim=16, heads=2, ffn_dim=32, depth=2, dropout=0.0),
        presets=sandwich.PRESETS,
        orders=sandwich.orders,
        paper="Improving Transformer Models by Reordering their Sublayers (Press et al. 2020)",
        url="https://arxiv.org/abs/1911.03864",
        adds="attention gathered at the bottom, feed-forward at the top",
        parity="x-transformers",
    ),
    "universal": System(
        builds={"translation": universal.translator, "algorithm": universal.tagger},
        config=universal.UniversalConfig,
        tiny=universal.UniversalConfig(vocab_size=24, dim=16, heads=2, ffn_dim=32, steps=3, dropout=0.0),
        presets=universal.PRESETS,
        orders=universal.orders,
        paper="Universal Transformers (Dehghani et al. 2019)",
        url="https://arxiv.org/abs/1807.03819",
        adds="one layer repeated, as often as each position needs",
        parity="a loop over single positions",
    ),
    "bert": System(
        builds=bert.BUILDS,
        config=bert.BertConfig,
        tiny=bert.BertConfig(
            vocab_size=24, dim=16, heads=2, ffn_dim=32, depth=2, dropout=0.0, attention_dropout=0.0, head_dropout=0.0
        ),
        presets=bert.PRESETS,
        orders=bert.orders,
        paper="BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding (Devlin et al. 2019)",
        url="https://arxiv.org/abs/1810.04805",
        adds="an encoder that learns from hidden words, then from few labels",
        parity="Hugging Face BERT",
    ),
    "albert": System(
        builds=albert.BUILDS,
        config=albert.AlbertConfig,
        tiny=albert.AlbertConfig(
            vocab_size=24, embedding_dim=8, dim=16, heads=2, ffn_dim=32, depth=2, head_dropout=0.0, pair_dropout=0.0
        ),
        presets=albert.PRESETS,
        orders=albert.orders,
        paper="ALBERT: A Lite BERT for Self-supervised Learning of Language Representations (Lan et al. 2020)",
        url="https://arxiv.org/abs/1909.11942",
        adds="one layer for all depths, and a narrow word table",
        parity="Hugging Face ALBERT",
    ),
    "shuffle_exchange": System(
        builds={"algorithm": shuffle_exchange.tagger},
        config=shuffle_exchange.ShuffleExchangeConfig,
        tiny=shuffle_exchange.ShuffleExchangeConfig(vocab_size=24, dim=16, dropout=0.0),
        presets=shuffle_exchange.PRESETS,
        orders=shuffle_exchange.orders,
        paper="Neural Shuffle-Exchange Networks - Sequence Processing in O(n log n) Time (Freivalds et al. 2019)",
        url="https://arxiv.org/abs/1907.07897",
        adds="switches between neighbours, wired so that all meet in log n steps",
        parity="loops over single numbers",
    ),
    "residual_shuffle_exchange": System(
        builds={"algorithm": residual_shuffle_exchange.tagger},
        config=residual_shuffle_exchange.ResidualShuffleExchangeConfig,
        tiny=residual_shuffle_exchange.ResidualShuffleExchangeConfig(vocab_size=24, dim=16, dropout=0.0),
        presets=residual_shuffle_exchange.PRESETS,
        orders=residual_shuffle_exchange.orders,
        paper="Residual Shuffle-Exchange Networks for Fast Processing of Long Sequences (Draguns et al. 2021)",
        url="https://arxiv.org/abs/2004.04662",
        adds="switches that are residual feed-forward networks",
        parity="loops over single numbers",
    ),
    "rnn": System(
        builds={"translation": rnn.rnn, "algorithm": rnn.tagger},
        config=rnn.RNNConfig,
        tiny=rnn.RNNConfig(vocab_size=24, dim=16, hidden_dim=12, encoder_dim=10, depth=2, dropout=0.0),
        presets=rnn.PRESETS,
        orders=rnn.orders,
        paper="Neural Machine Translation by Jointly Learning to Align and Translate (Bahdanau et al. 2015)",
        url="https://arxiv.org/abs/1409.0473",
        adds="recurrence, and the first attention",
        parity="torch.nn.LSTM and torch.nn.GRU packed, loops over single words",
    ),
    "conv": System(
        builds={"translation": conv.conv, "algorithm": conv.tagger},
        config=conv.ConvConfig,
        tiny=conv.ConvConfig(vocab_size=24, dim=16, order="12x9 14x5", decoder_order="14x3 12x2@3 12x1", dropout=0.0),
        presets=conv.PRESETS,
        orders=conv.orders,
        paper="Convolutional Sequence to Sequence Learning (Gehring et al. 2017)",
        url="https://arxiv.org/abs/1705.03122",
        adds="gated convolutions, and attention in each layer",
        parity="loops over single words, torch.conv_tbc",
    ),
    "vit": System(
        builds={"image-classification": vit.vit},
        config=vit.VitConfig,
        tiny=vit.VitConfig(classes=5, channels=2, image_size=8, dim=16, heads=2, ffn_dim=32, depth=2, dropout=0.0),
        presets=vit.PRESETS,
        orders=vit.orders,
        paper="An Image is Worth 16x16 Words (Dosovitskiy et al. 2021)",
        url="https://arxiv.org/abs/2010.11929",
        adds="squares of an image read as words",
        parity="Hugging Face ViT, the official .npz layout",
    ),
    "mixer": System(
        builds={"image-classification": mixer.mixer},
        config=mixer.MixerConfig,
        tiny=mixer.MixerConfig(
            classes=5, channels=2, image_size=8, dim=16, token_dim=8, ffn_dim=32, depth=2, dropout=0.0
        ),
        presets=mixer.PRESETS,
        orders=mixer.orders,
        paper="MLP-Mixer: An all-MLP Architecture for Vision (Tolstikhin et al. 2021)",
        url="https://arxiv.org/abs/2105.01601",
        adds="one MLP over places, one over channels, and no attention",
        parity="mlp-mixer-pytorch",
    ),
    "spach": System(
        builds={"image-classification": spach.spach},
        config=spach.SpachConfig,
        tiny=spach.SpachConfig(classes=5, channels=2, image_size=8, dim=8, heads=2, ratio=2, order="pm-am"),
        presets=spach.PRESETS,
        orders=spach.orders,
        paper="A Battle of Network Structures (Zhao et al. 2021)",
        url="https://arxiv.org/abs/2108.13002",
        adds="convolution, attention and MLP in one frame, and mixed",
        parity="naive loops of its mixers",
    ),
    "lambda": System(
        builds={"image-classification": lambda_networks.lambda_network},
        config=lambda_networks.LambdaConfig,
        tiny=lambda_networks.LambdaConfig(classes=5, channels=2, image_size=8, dim=4, heads=2, key_dim=4, order="c-ll"),
        presets=lambda_networks.PRESETS,
        orders=lambda_networks.orders,
        paper="LambdaNetworks: Modeling Long-Range Interactions Without Attention (Bello 2021)",
        url="https://arxiv.org/abs/2102.08602",
        adds="a context as a linear map that every query is put through",
        parity="lambda-networks",
    ),
    "cnn": System(
        builds={"image-classification": cnn.cnn},
        config=cnn.CnnConfig,
        tiny=cnn.CnnConfig(classes=5, channels=2, image_size=8, dim=4, order="b-bc"),
        presets=cnn.PRESETS,
        orders=cnn.orders,
        paper="Deep Residual Learning for Image Recognition (He et al. 2015)",
        url="https://arxiv.org/abs/1512.03385",
        adds="the plain rival of the others, and detection's trunk",
        parity="Hugging Face ResNet",
    ),
    "gpt": System(
        builds={"language-model": gpt.gpt},
        config=gpt.GPTConfig,
        tiny=gpt.GPTConfig(vocab_size=24, dim=16, heads=2, ffn_dim=32, depth=2, dropout=0.0),
        presets=gpt.PRESETS,
        orders=gpt.orders,
        paper="Improving Language Understanding by Generative Pre-Training (Radford et al. 2018)",
        url="https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf",
        adds="a decoder alone, which writes on; its letters also spell LSTM and convolutional language models",
        parity="Hugging Face GPT and GPT-2",
    ),
    "reformer": System(
        builds={"language-model": reformer.language_model, "algorithm": reformer.tagger},
        config=reformer.ReformerConfig,
        tiny=reformer.ReformerConfig(
            vocab_size=24,
            dim=16,
            heads=2,
            head_dim=6,
            ffn_dim=32,
            depth=1,
            local_chunk=4,
            positions_shape=(16, 16),
            rows_dim=6,
            dropout=0.0,
        ),
        presets=reformer.PRESETS,
        orders=reformer.orders,
        paper="Reformer: The Efficient Transformer (Kitaev et al. 2020)",
        url="https://arxiv.org/abs/2001.04451",
        adds="attention by hashing, reversible layers, axial positions: long texts in little memory",
        parity="Hugging Face Reformer",
    ),
}

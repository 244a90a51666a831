"""A CLAP model of some kilobytes with random weights, as files that `transformers` loads."""

from __future__ import annotations

from pathlib import Path

import torch

from aural.generation.classes import CLASSES


def write_clap(folder: Path) -> None:
    """Write a model and its processor, always the same; its tokenizer knows the words of the classes."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapProcessor,
        PreTrainedTokenizerFast,
    )

    words = dict.fromkeys(word for name in CLASSES for word in f"this is a sound of {name}".split())
    words |= dict.fromkeys(part for name in CLASSES for part in name.split("_"))
    vocabulary = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    heads = {"num_attention_heads": 2, "hidden_size": 16}
    config = ClapConfig(
        text_config={
            **heads,
            "num_hidden_layers": 1,
            "intermediate_size": 16,
            "vocab_size": len(vocabulary),
            "projection_dim": 16,
        },
        audio_config={
            "patch_embeds_hidden_size": 8,
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "hidden_size": 16,
        },
        projection_dim=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ClapModel(config).save_pretrained(folder)
    ClapProcessor(
        ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad"),
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>"),
    ).save_pretrained(folder)

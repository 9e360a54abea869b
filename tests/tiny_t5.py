"""A tiny random T5 with a word-level tokenizer, with or without sentinels."""

from pathlib import Path

import torch
from tiny import WORDS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

SENTINELS = ("<extra_id_0>", "<extra_id_1>", "<extra_id_2>")


def save_tiny_t5(folder: Path, *, sentinels: bool = True, seed: int = 0) -> Path:
    """Write a T5 of two layers, and return its folder; what it writes follows from the seed alone."""
    special = ["<pad>", "</s>", "<unk>", *(SENTINELS if sentinels else ())]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*special, *WORDS, ".", ":", "?"]))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.decoder = decoders.WordPiece(prefix="##")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(SENTINELS if sentinels else ()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = T5Config(vocab_size=len(vocabulary), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        config.decoder_start_token_id = 0
        model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

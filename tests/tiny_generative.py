"""Tiny random language models that are not masked ones: GPT-2, Llama and Qwen2, which say a word last, and T5.

folder = save_tiny_generative("gpt2", tmp_path)

Each has 2 layers, width 32, and the words of `tiny.WORDS` as one token each. GPT-2 puts no special token around a
text, Llama one in front, T5 one behind; only T5 has a token for padding.
"""

from pathlib import Path
from typing import Any

import torch
import transformers
from tiny import LENGTH, tiny_tokenizer
from tokenizers import Tokenizer, processors
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast

GENERATIVE = ("gpt2", "llama", "qwen2", "t5")
_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": LENGTH,
}


def save_tiny_generative(family: str, folder: Path, seed: int = 0) -> Path:
    """Write a tiny random model of a family with its tokenizer into `folder`; return the folder."""
    tokenizer = _tokenizer(family)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    size: dict[str, Any] = {"vocab_size": len(tokenizer), **ids}
    if family == "gpt2":
        config: Any = transformers.GPT2Config(n_positions=LENGTH, n_embd=32, n_layer=2, n_head=4, **size)
    elif family == "t5":
        size |= {"pad_token_id": tokenizer.pad_token_id, "decoder_start_token_id": tokenizer.pad_token_id}
        config = transformers.T5Config(d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, **size)
    else:
        kind = transformers.LlamaConfig if family == "llama" else transformers.Qwen2Config
        config = kind(**_SIZES, **size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        auto = AutoModelForSeq2SeqLM if family == "t5" else AutoModelForCausalLM
        model = auto.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer whose special tokens are where the family has them."""
    kind = "roberta" if family in ("gpt2", "qwen2") else "xlm-roberta"
    raw = Tokenizer.from_str(tiny_tokenizer(kind).backend_tokenizer.to_str())
    around = {"llama": "<s> $A", "t5": "$A </s>"}.get(family, "$A")
    special = [(token, raw.token_to_id(token)) for token in ("<s>", "</s>")]
    raw.post_processor = processors.TemplateProcessing(
        single=around, pair=f"{around} {around.replace('$A', '$B')}", special_tokens=special
    )
    more: dict[str, Any] = {}
    if family == "qwen2":  # its own class adds this one
        raw.add_special_tokens(["<|endoftext|>"])
    if family == "t5":
        more = {"pad_token": "<pad>", "additional_special_tokens": ["<extra_id_0>"]}
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", model_max_length=LENGTH, **more
    )

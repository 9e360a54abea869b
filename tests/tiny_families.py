"""Tiny random masked language models of every family that transformers knows, by rules and not by a list of families.

A rule says what a number of a configuration becomes by its name: widths 32, heads 2, layers 2, the ids of special
tokens those of the tokenizer. The tokenizer is the tiny one of the algorithm that the family's own class has.
"""

import re
from pathlib import Path
from typing import Any

import torch
from tiny import LENGTH, tiny_tokenizer
from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoModelForMaskedLM, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

MODEL_TYPES: tuple[str, ...] = tuple(sorted(config.model_type for config in MODEL_FOR_MASKED_LM_MAPPING))
"""Every family of masked language models."""

_WIDTHS = (
    r"(hidden|true_hidden|embedding|pooler_hidden|(in|out)put_embedding|intra_bottleneck|prediction_head|.*emb)_size"
    r"|dim|emb_dim|d_model|d_latents|.*_embed_dim|embedding_rank|embedding_dim"
)
_TOKENIZERS = {"BPE": "roberta", "Unigram": "xlm-roberta"}
"""The tiny tokenizer of an algorithm; that of all others is WordPiece."""


def family_tokenizer(model_type: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of the kind that a family has."""
    name = TOKENIZER_MAPPING_NAMES.get(model_type)
    kind = getattr(tokenizer_class_from_name(name) if isinstance(name, str) else None, "model", None)
    return tiny_tokenizer(_TOKENIZERS.get(getattr(kind, "__name__", ""), "bert"))


def save_family(model_type: str, folder: Path, seed: int = 0, **overrides: Any) -> Path:
    """Write a tiny random masked LM of a family with its tokenizer into a folder.

    `overrides` go to the model's config. Whatever a family's code raises for a configuration of such sizes is passed
    on.
    """
    config_class = next(known for known in MODEL_FOR_MASKED_LM_MAPPING if known.model_type == model_type)
    tokenizer = family_tokenizer(model_type)
    values = _small(config_class(), tokenizer) | overrides
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForMaskedLM.from_config(config_class(**values))
        for weight in model.parameters():
            if weight.dim() > 1 and not weight.any():  # a layer that starts as nothing would hide what it does
                torch.nn.init.normal_(weight, std=0.02)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _small(config: Any, tokenizer: Any) -> dict[str, Any]:
    """Return the numbers of a configuration that the rules change, those of the configurations in it too."""
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("pad", "cls", "sep", "mask", "unk")}
    rules = {
        r"vocab_size": len(tokenizer),
        r"(num_(hidden|decoder)|n|encoder|decoder)_layers": 2,
        r".*heads|n_head": 2,
        r"head_dim|d_head|attention_head_size": 16,
        _WIDTHS: 32,
        r"intermediate_size|.*ffn_dim|d_inner|hidden_dim|feed_forward_size": 64,
        r"max_position_embeddings": LENGTH + 2,
        r"attention_window|sliding_window|local_attention": 16,
        r"image_size": 32,
        r"axial_pos_embds": False,  # a table of positions in two factors, which other numbers would have to follow
        r"pad_(token_id|index)": ids["pad"],
        r"(bos|cls)_(token_id|index)": ids["cls"],
        r"(eos|sep|decoder_start)_(token_id|index)": ids["sep"],
        r"mask_(token_id|index)": ids["mask"],
        r"unk_index": ids["unk"],
    }
    found: dict[str, Any] = {}
    for name, value in config.to_dict().items():
        if name in config.sub_configs and value is not None:
            inner = getattr(config, name)
            found[name] = {"model_type": inner.model_type, **_small(inner, tokenizer)}
        elif (value is None or isinstance(value, int)) and (
            rule := next((rule for rule in rules if re.fullmatch(rule, name)), None)
        ):
            found[name] = rules[rule]
    return found

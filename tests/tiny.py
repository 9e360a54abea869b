"""Tiny random masked language models with tokenizers, one per family, written in milliseconds.

    folder = save_tiny("roberta", tmp_path)          # config.json, model.safetensors, tokenizer.json, ...

Each has 2 layers, hidden size 32, 64 positions, and every word of `WORDS` as one token (as it stands inside a
sentence); other ASCII text is spelled in characters. "bert", "albert", "distilbert", "electra" and "mpnet" read lower
case only. Accented and other letters are unknown to all but the byte-level "roberta" and "modernbert". The weights
depend on `seed` alone, the tokenizer on the family alone. `config_overrides` go to the model's config, such as
``hidden_dropout_prob=0.0``.
"""

import functools
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerFast

LENGTH = 64
"""The most tokens that each model reads, special tokens included."""

_CORPUS = """
a all and at by is it It of the to was in my news text Category Question question good bad great terrible okay
Yes No Maybe yes no maybe World Sports Business Tech world sports business tech team game match won coach goal score
bank market money shares profit rates rise phone chip code software robot data war vote leader city treaty border
movie film plot actor boring lovely awful fine food service slow quick man woman plays sleeps outside inside
"""
WORDS: tuple[str, ...] = tuple(_CORPUS.split())
"""Words that are one token each."""

_ROBERTA = ("<s>", "</s>", "<pad>", "<unk>", "<mask>")  # cls, sep, pad, unk, mask
_BERT = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
Kind = Literal["wordpiece", "bytes", "unigram"]


@dataclass(frozen=True)
class _Family:
    """What sets a family apart: its tokenizer, its special tokens in order of id, its config."""

    config: str
    kind: Kind
    tokens: tuple[str, str, str, str, str] = _BERT
    lower: bool = False
    types: bool = False  # the model reads token_type_ids
    double: bool = False  # <s> A </s></s> B </s>
    pad_id: int = 0
    options: tuple[tuple[str, Any], ...] = ()


_POSITIONS = (("max_position_embeddings", LENGTH + 2),)  # RoBERTa numbers positions from 2
_TABLE = {
    "bert": _Family("BertConfig", "wordpiece", lower=True, types=True),
    "roberta": _Family("RobertaConfig", "bytes", _ROBERTA, double=True, pad_id=1, options=_POSITIONS),
    "xlm-roberta": _Family("XLMRobertaConfig", "unigram", _ROBERTA, double=True, pad_id=1, options=_POSITIONS),
    "albert": _Family("AlbertConfig", "unigram", lower=True, types=True, options=(("embedding_size", 16),)),
    "distilbert": _Family(
        "DistilBertConfig",
        "wordpiece",
        lower=True,
        options=(("dim", 32), ("n_layers", 2), ("n_heads", 4), ("hidden_dim", 64)),
    ),
    "electra": _Family("ElectraConfig", "wordpiece", lower=True, types=True, options=(("embedding_size", 16),)),
    "deberta-v2": _Family(
        "DebertaV2Config",
        "unigram",
        types=True,
        options=(
            ("relative_attention", True),
            ("pos_att_type", ["p2c", "c2p"]),
            ("position_biased_input", False),
            ("position_buckets", 16),
            ("share_att_key", True),
            ("norm_rel_ebd", "layer_norm"),
        ),
    ),
    "mpnet": _Family(
        "MPNetConfig",
        "wordpiece",
        ("<s>", "</s>", "<pad>", "[UNK]", "<mask>"),
        lower=True,
        double=True,
        pad_id=1,
        options=_POSITIONS,
    ),
    "modernbert": _Family(
        "ModernBertConfig", "bytes", options=(("local_attention", 16), ("global_attn_every_n_layers", 2))
    ),
}

FAMILIES: tuple[str, ...] = tuple(_TABLE)


def save_tiny(family: str, folder: Path, seed: int = 0, **config_overrides: Any) -> Path:
    """Write a tiny random masked LM of `family` with its tokenizer into `folder`, as safetensors; return the folder."""
    entry, tokenizer = _TABLE[family], tiny_tokenizer(family)
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("cls", "sep", "pad")}
    options: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": LENGTH,
        "bos_token_id": ids["cls"],
        "cls_token_id": ids["cls"],
        "eos_token_id": ids["sep"],
        "sep_token_id": ids["sep"],
        "pad_token_id": ids["pad"],
        **dict(entry.options),
        **config_overrides,
    }
    if family == "distilbert":  # its config says these in its own words
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            options.pop(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForMaskedLM.from_config(getattr(transformers, entry.config)(**options))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def add_token(folder: Path, token: str = "covidvax") -> None:
    """Add a token to the tokenizer in a folder, for which its model has no embedding."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([token])
    tokenizer.save_pretrained(folder)


@functools.cache
def tiny_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a family (one object per family: do not change it)."""
    entry = _TABLE[family]
    cls, sep, pad, unk, mask = entry.tokens
    order = [cls, pad, sep, unk, mask] if entry.pad_id == 1 else [pad, unk, cls, sep, mask]
    raw = {"wordpiece": _wordpiece, "bytes": _byte_level, "unigram": _unigram}[entry.kind](order, unk, entry.lower)
    # The blank before a mask belongs to it, except for WordPiece, which has no blanks.
    raw.add_special_tokens([AddedToken(token, special=True) for token in order if token != mask])
    raw.add_special_tokens([AddedToken(mask, lstrip=entry.kind != "wordpiece", special=True)])
    raw.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} {sep} $B {sep}" if entry.double else f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(token, raw.token_to_id(token)) for token in (cls, sep)],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        **{f"{name}_token": token for name, token in zip(("cls", "sep", "pad", "unk"), entry.tokens[:4], strict=True)},
        mask_token=AddedToken(mask, lstrip=entry.kind != "wordpiece", special=True),
        model_max_length=LENGTH,
        model_input_names=["input_ids", *(["token_type_ids"] if entry.types else []), "attention_mask"],
    )
    known = [len(ids) for ids in tokenizer([f" {word}" for word in WORDS], add_special_tokens=False)["input_ids"]]
    assert known == [1] * len(WORDS), family
    assert tokenizer.unk_token_id not in tokenizer(" ".join(WORDS) + string.printable)["input_ids"], family
    return tokenizer


def _words(lower: bool) -> list[str]:
    return list(dict.fromkeys(word.lower() if lower else word for word in WORDS))


def _wordpiece(special: list[str], unk: str, lower: bool) -> Tokenizer:
    signs = [sign for sign in string.printable if not sign.isspace()]
    entries = [*special, *signs, *(f"##{sign}" for sign in signs), *_words(lower)]
    vocabulary = {entry: i for i, entry in enumerate(dict.fromkeys(entries))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unk))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _byte_level(special: list[str], _unk: str, lower: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=10_000,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for word in _words(lower) for text in (word, f" {word}")], trainer)
    return tokenizer


def _unigram(special: list[str], unk: str, lower: bool) -> Tokenizer:
    signs = [sign for sign in string.printable if not sign.isspace()]
    pieces = dict.fromkeys([*special, "▁", *signs], -10.0)
    pieces |= dict.fromkeys((f"▁{word}" for word in _words(lower)), -5.0)
    tokenizer = Tokenizer(models.Unigram(list(pieces.items()), unk_id=special.index(unk)))
    steps = [normalizers.Replace(pattern, " ") for pattern in ("\t", "\n", "\r", "\x0b", "\x0c")]
    tokenizer.normalizer = normalizers.Sequence([*steps, *([normalizers.Lowercase()] if lower else [])])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer

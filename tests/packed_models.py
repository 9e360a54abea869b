"""A tiny multilingual encoder for tests: a large Unigram vocabulary, and weights packed in 4 bits.

folder = save_packed(tmp_path)                  # config.json, packed.safetensors, tokenizer.json, ...
state = unpacked_by_hand(folder)                # what its tensors are, value by value
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from tiny import WORDS, save_tiny
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, PreTrainedTokenizerFast

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def save_vocabulary(folder: Path, size: int) -> int:
    """Write a Unigram tokenizer of about `size` pieces, in order of frequency; return how many it has.

    The words and letters of `tiny` are scattered over it, and "é" and "好" are the rarest of all.
    """
    signs = [chr(code) for code in range(33, 127)]
    wanted = [*(f"▁{word}" for word in dict.fromkeys(WORDS)), *signs, "▁"]
    fillers = [f"▁{number:06}x" for number in range(size - len(wanted) - len(SPECIAL) - 3)]
    places = np.linspace(0, len(fillers), len(wanted)).astype(int)
    for place, piece in zip(places[::-1].tolist(), wanted[::-1], strict=True):
        fillers.insert(place, piece)
    pieces = [*SPECIAL, *fillers, "é", "好"]
    scores = [0.0] * len(SPECIAL) + [-3.0 - place / 5000 for place in range(len(pieces) - len(SPECIAL))]
    raw = Tokenizer(models.Unigram([*zip(pieces, scores, strict=True), ("<mask>", 0.0)], unk_id=3))
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        model_max_length=64,
        **dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL, strict=True)),
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
    )
    tokenizer.save_pretrained(folder)
    return len(pieces) + 1


def encoder_config(vocabulary: int) -> BertConfig:
    """Return the config of a BERT of two layers."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=1,
    )


def save_packed(folder: Path, size: int = 500) -> Path:
    """Write a random BERT of two layers whose matrices are packed; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = encoder_config(save_vocabulary(folder, size))
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in AutoModel.from_config(config).state_dict().items()}
    rng, stored = np.random.default_rng(0), dict[str, np.ndarray]()
    for name, shape in shapes.items():
        if name.startswith("pooler."):
            continue
        if name.endswith("weight") and len(shape) == 2 and "position" not in name and "token_type" not in name:
            stored[f"{name}.nibbles"] = rng.integers(0, 256, (shape[0], shape[1] // 2), np.uint8)
            stored[f"{name}.scales"] = rng.uniform(0.01, 0.03, (shape[0], shape[1] // 32)).astype(np.float16)
        else:
            stored[name] = rng.normal("LayerNorm.weight" in name, 0.02, shape).astype(np.float32)
    save_file(stored, folder / "packed.safetensors", metadata={"format": "pt"})
    return folder


def unpacked_by_hand(folder: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a packed folder by name, float32, each value computed on its own."""
    stored, found = load_file(folder / "packed.safetensors"), {}
    for name, array in stored.items():
        if name.endswith(".nibbles"):
            matrix = name.removesuffix(".nibbles")
            scales = stored[f"{matrix}.scales"]
            values = np.empty((len(array), array.shape[1] * 2), np.float32)
            for column in range(values.shape[1]):
                block, place = divmod(column, 32)
                byte = array[:, 16 * block + place % 16]
                nibble = byte % 16 if place < 16 else byte // 16
                values[:, column] = (nibble.astype(np.float32) - 8) * scales[:, block]
            found[matrix] = values
        elif not name.endswith(".scales"):
            found[name] = array
    return found


def save_sentence_files(folder: Path, pooling: str = "mean_tokens", prompt: str = "query: ") -> Path:
    """Write what sentence-transformers writes beside an encoder: pooling, normalisation, a prompt, a length of 16."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{name}": name == pooling for name in ("mean_tokens", "cls_token", "max_tokens")}
    files = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": 32, **modes},
        "config_sentence_transformers.json": {"prompts": {"query": prompt}, "default_prompt_name": "query"},
        "sentence_bert_config.json": {"max_seq_length": 16, "do_lower_case": False},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def save_sentence_encoder(folder: Path, family: str, **options: str) -> Path:
    """Write a tiny encoder of a family as a folder of sentence-transformers."""
    return save_sentence_files(save_tiny(family, folder), **options)

"""What other servers read of a classifier's folder, so that they read a text as `pet predict` does.

tokenizer.json              without special tokens to be found in a text: the Rust library `tokenizers`, which
text-embeddings-inference stands on, knows nothing of `split_special_tokens`
sentence_bert_config.json   the most tokens that are read, which such a server would else take from the positions
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pet.data.examples import Example
from pet.learners.models.plain_rows import encode_rows, segments

_TOKENIZER = "tokenizer.json"
_FIELDS = ("first", "second")


def for_servers(folder: Path, tokenizer: Any, max_length: int) -> None:
    """Change a saved folder so that what reads its files alone has the ids of `tokenizer`, at most `max_length`.

    A special token is taken from the list of those that are looked for in a text where the vocabulary has it too, by
    which transformers finds it again; all stay where a text would then have other ids.
    """
    limits = {"max_seq_length": max_length, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(limits, indent=2) + "\n", encoding="utf-8")
    path = folder / _TOKENIZER
    before = path.read_text(encoding="utf-8")
    found, vocabulary = json.loads(before), Tokenizer.from_str(before).get_vocab(with_added_tokens=False)
    taken = [one for one in found["added_tokens"] if one["special"] and vocabulary.get(one["content"]) == one["id"]]
    found["added_tokens"] = [one for one in found["added_tokens"] if one not in taken]
    changed, rows = Tokenizer.from_str(json.dumps(found)), _hostile([one["content"] for one in taken])
    ours = [row.input_ids.tolist() for row in encode_rows(tokenizer, rows, _FIELDS, max_length)]
    changed.no_padding()
    if [one.ids for one in changed.encode_batch([segments(row, _FIELDS) for row in rows])] == ours:
        changed.save(str(path))


def spelled(folder: Path) -> tuple[str, ...]:
    """Return the special tokens that a text can spell where a folder's tokenizer.json is read alone, as a server does.

    None where there is no such file.
    """
    path = folder / _TOKENIZER
    if not path.is_file():
        return ()
    found = json.loads(path.read_text(encoding="utf-8"))["added_tokens"]
    return tuple(one["content"] for one in found if one["special"])


def _hostile(tokens: Sequence[str]) -> list[Example]:
    """Return rows of one text and of two that spell tokens: alone, between words, glued to them, and twice."""
    texts = [
        text for token in tokens for text in (token, f"good {token} film", f"good{token}film", f"{token}\n{token}")
    ]
    pairs = [(text, other) for text in texts for other in ("", texts[0])]
    return [Example(str(i), dict(zip(_FIELDS, pair, strict=True))) for i, pair in enumerate(pairs)]

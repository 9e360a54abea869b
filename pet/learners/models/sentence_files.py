"""What a folder of sentence-transformers says of its encoder, read without that library.

    modules.json                        the modules after the encoder: Pooling, Normalize
    1_Pooling/config.json               how the vectors of the tokens become one
    config_sentence_transformers.json   the prompt that stands before every text
    sentence_bert_config.json           the most tokens that are read

A folder without these files is read as most encoders are meant: the mean over the tokens, and no prompt.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pet.errors import ModelError, shown
from pet.learners.models.sources import ModelSource, first_line

Pooling = Literal["mean", "cls"]

SENTENCE_FILES = (
    "modules.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
)
"""The files that are read, by their usual names."""

_POOLINGS: dict[str, Pooling] = {"mean": "mean", "mean_tokens": "mean", "cls": "cls", "cls_token": "cls"}


@dataclass(frozen=True)
class SentenceForm:
    """How an encoder reads a text and what its vector is.

    The vector is the mean over all tokens or that of the first ("cls"), brought to length 1 if `normalised`; `prefix`
    is put before each text, `lowercase` says that texts are lower-cased first, and at most `longest` tokens are read
    (None: as many as the model can).
    """

    pooling: Pooling = "mean"
    prefix: str = ""
    normalised: bool = False
    lowercase: bool = False
    longest: int | None = None

    def is_plain(self, max_length: int) -> bool:
        """Return whether a vector is the mean of a row as a classifier reads it, at most `max_length` tokens of it."""
        return (self.pooling, self.prefix, self.lowercase) == ("mean", "", False) and (
            self.longest is None or self.longest >= max_length
        )

    def read(self, text: str, first: bool = True) -> str:
        """Return a text as the encoder is given it; the prefix stands before the `first` segment alone."""
        return (self.prefix if first else "") + (text.lower() if self.lowercase else text)


def sentence_form(source: ModelSource) -> SentenceForm:
    """Read how an encoder is to be used from the files beside it.

    Raises `ModelError` if a file cannot be read, or asks for a module, pooling or prompt that is not known here.
    """
    listed = _read(source, "modules.json", list)
    modules = {str(one.get("type")).rpartition(".")[2]: str(one.get("path", "")) for one in listed}
    for kind in modules.keys() - {"Transformer", "Pooling", "Normalize"}:
        raise ModelError(
            f"{source.name} has a module {shown(kind)} after its encoder, expected Pooling and Normalize alone: choose "
            "another encoder."
        )
    about, limits = (_read(source, f"{name}.json") for name in ("config_sentence_transformers", "sentence_bert_config"))
    prefix = (about.get("prompts") or {}).get(about.get("default_prompt_name") or "", "")
    pooling = _read(source, f"{modules.get('Pooling', '1_Pooling')}/config.json")
    if prefix and not pooling.get("include_prompt", True):
        raise ModelError(
            f"{source.name} leaves its prompt {shown(prefix)} out of the mean, which is not done here: choose another "
            "encoder."
        )
    return SentenceForm(
        pooling=_pooling(source, pooling),
        prefix=prefix,
        normalised="Normalize" in modules,
        lowercase=bool(limits.get("do_lower_case")),
        longest=limits.get("max_seq_length"),
    )


def _pooling(source: ModelSource, about: Mapping[str, Any]) -> Pooling:
    """Return the pooling that a file names, by a word or by switches such as ``pooling_mode_mean_tokens``."""
    start = "pooling_mode_"
    named = [about["pooling_mode"]] if "pooling_mode" in about else []
    switched = [name.removeprefix(start) for name, on in about.items() if name.startswith(start) and on]
    match named or switched:
        case []:
            return "mean"
        case [str(name)] if name in _POOLINGS:
            return _POOLINGS[name]
        case names:
            raise ModelError(
                f"{source.name} pools its tokens by {' and '.join(map(str, names))}, expected mean or cls: choose "
                "another encoder."
            )


def _read(source: ModelSource, name: str, kind: type[dict[str, Any]] | type[list[Any]] = dict) -> Any:
    """Return what a JSON file holds, a table or a list of tables, or nothing where it is not there."""
    path = Path(source.folder, name)
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else kind()
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({first_line(error)}): fetch the model again.") from None
    if not isinstance(found, kind) or not all(isinstance(one, dict) for one in found if kind is list):
        raise ModelError(f"{path} holds no {'list of modules' if kind is list else 'table'}: fetch the model again.")
    return found

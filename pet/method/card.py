"""The card that goes with a classifier."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pet.method.metrics import Evaluation
from pet.settings.task import CHOICES, Truncation


@dataclass(frozen=True)
class CardFacts:
    """What a card tells: the task, its labels and fields, the model started from, the numbers of rows, the settings.

    `spelled` are special tokens that a text can spell where a server reads the tokenizer's file alone. Where a row may
    have several labels, `thresholds` are the probabilities from which on it has each.
    """

    task: str
    labels: Sequence[str]
    fields: Sequence[str]
    base_model: str
    gold_rows: int
    pool_rows: int
    settings: Mapping[str, object]
    corrected: int = 0
    spelled: Sequence[str] = ()
    truncation: Truncation = "tail"
    thresholds: Mapping[str, float] = field(default_factory=dict)


def python_call(model: str, fields: Sequence[str], size: object = "same", *, several: bool = False) -> str:
    """Return the Python that labels a row, without pet but where transformers does not know how.

    That is a static classifier, and one that chooses among candidates. For transformers the first field is `text`, all
    others are `text_pair`; where a row may have `several` labels, it returns the probabilities of all.
    """
    if size == "static" or CHOICES in fields:
        row = ", ".join('["...", "..."]' if name == CHOICES else '"..."' for name in fields)
        return f"pet.predict({json.dumps(model, ensure_ascii=False)}, [({row})])"
    row = '"..."' if len(fields) == 1 else '{"text": "...", "text_pair": "..."}'
    named = json.dumps(model, ensure_ascii=False)
    every = ", top_k=None" if several else ""
    return f'transformers.pipeline("text-classification", model={named})({row}, truncation=True{every})'


def model_card(facts: CardFacts, figures: Mapping[str, Evaluation]) -> str:
    """Return the Markdown card of a distilled classifier; `figures` are test figures by name (there may be none)."""
    call = python_call("path/to/this/folder", facts.fields, facts.settings.get("size"), several=bool(facts.thresholds))
    lines = [
        "---",
        "pipeline_tag: text-classification",
        "tags: [pet, few-shot, distillation]",
        "---",
        "",
        f"# {facts.task}: text classifier",
        "",
        f"Labels: {', '.join(f'`{label}`' for label in facts.labels)}.",
        "",
        "Distilled with pet (Pattern-Exploiting Training) from an ensemble of fine-tuned masked language models. "
        f"Start: `{facts.base_model}`; {facts.gold_rows} labeled rows; soft labels for {facts.pool_rows} rows"
        f"{f'; {facts.corrected} labels set by hand' if facts.corrected else ''}.",
        "",
        "```python",
        f"import {call.partition('.')[0]}",
        "",
        call,
        "```",
        "",
        *_long_texts("tail" if facts.settings.get("size") == "static" else facts.truncation),
        *_thresholds(facts.thresholds),
        "Settings: " + ", ".join(f"{name} = {value}" for name, value in facts.settings.items()) + ".",
    ]
    if facts.spelled:
        lines += [
            "",
            "A server that reads `tokenizer.json` alone, as text-embeddings-inference does, takes "
            f"{', '.join(f'`{token}`' for token in facts.spelled)} in a text for a special token: let no text with one "
            "of them reach it, or use `pet serve`, which reads them as text.",
        ]
    if figures:
        lines += ["", "| test | accuracy | macro-F1 |", "| --- | ---: | ---: |"]
        lines += [
            f"| {name} | {100 * found.accuracy:.1f} | {100 * found.macro_f1:.1f} |" for name, found in figures.items()
        ]
    return "\n".join(lines) + "\n"


def _long_texts(truncation: Truncation) -> list[str]:
    """Say how the stock pipeline reads texts that are too long in another way."""
    if truncation in ("tail", "head"):  # the tokenizer beside the model says which
        return []
    ours = "both ends" if truncation == "head+tail" else "all of it, in windows whose scores are averaged"
    return [f"Of a text that is too long the stock pipeline reads the beginning alone; `pet predict` reads {ours}.", ""]


def _thresholds(found: Mapping[str, float]) -> list[str]:
    """Say from which probability on a row has each label, where it may have several."""
    if not found:
        return []
    each = ", ".join(f"`{label}` {threshold:.2f}" for label, threshold in found.items())
    return [f"A row has each label whose probability reaches its threshold, which may be none: {each}.", ""]

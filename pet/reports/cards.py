"""The card that goes with a classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pet.reports.summary import Summary

__all__ = ["CardFacts", "model_card"]


@dataclass(frozen=True)
class CardFacts:
    """What a card tells: the task, its labels and fields, the model started from, the numbers of rows, the settings."""

    task: str
    labels: Sequence[str]
    fields: Sequence[str]
    base_model: str
    gold_rows: int
    pool_rows: int
    settings: Mapping[str, object]


def model_card(facts: CardFacts, summary: Summary | None) -> str:
    """Return the Markdown card of a distilled classifier."""
    # The first field is the first segment, all others together the second.
    row = '"..."' if len(facts.fields) == 1 else '{"text": "...", "text_pair": "..."}'
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
        f"Start: `{facts.base_model}`; {facts.gold_rows} labeled rows; soft labels for {facts.pool_rows} rows.",
        "",
        "```python",
        "from transformers import pipeline",
        "",
        'classify = pipeline("text-classification", model="path/to/this/folder")',
        f"classify({row}, truncation=True)",
        "```",
        "",
        "Settings: " + ", ".join(f"{name} = {value}" for name, value in facts.settings.items()) + ".",
    ]
    if summary is not None and any(row.test for row in summary.rows):
        lines += ["", "| test | accuracy | macro-F1 |", "| --- | ---: | ---: |"]
        lines += [
            f"| {row.name} | {100 * row.test.accuracy:.1f} | {100 * row.test.macro_f1:.1f} |"
            for row in summary.rows
            if row.test
        ]
    return "\n".join(lines) + "\n"

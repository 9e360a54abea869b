"""The card that goes with a pretrained masked language model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PretrainedFacts", "SourceFacts", "pretrained_card"]


@dataclass(frozen=True)
class SourceFacts:
    """A source of text: its files and tokens, the part of what is read that it was given, and the tokens seen of it."""

    name: str
    files: int
    tokens: int
    share: float
    seen: int


@dataclass(frozen=True)
class PretrainedFacts:
    """What a card tells; `curve` has the measurements as mappings, `settings` the sections of the recipe."""

    name: str
    start: str
    shape: str
    sources: Sequence[SourceFacts]
    curve: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Mapping[str, Any]]
    machine: str


def pretrained_card(facts: PretrainedFacts) -> str:
    """Return the Markdown card of a masked language model."""
    last = facts.curve[-1]
    tokens, all_tokens = last["tokens"], sum(source.tokens for source in facts.sources)
    rate = tokens / last["seconds"] if last["seconds"] else 0.0
    lines = [
        "---",
        "pipeline_tag: fill-mask",
        "tags: [pet, masked-lm]",
        "---",
        "",
        f"# {facts.name}: a masked language model",
        "",
        f"{facts.shape}. Start: {facts.start}.",
        "",
        f"Trained with `pet pretrain` for {last['step']:,} steps on {tokens:,} tokens, {tokens / all_tokens:.2f} "
        f"passes over the text in the mean, in {last['seconds'] / 60:.1f} minutes ({rate:,.0f} tokens per second, "
        f"{facts.machine}).",
        "",
        "| source | files | tokens | share | tokens seen |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {source.name} | {source.files} | {source.tokens:,} | {source.share:.1%} | {source.seen:,} |"
        for source in facts.sources
    ]
    lines += ["", *_curve_lines(facts.curve), "", "Settings:", ""]
    lines += [
        f"- {name}: " + ", ".join(f"{key} = {value}" for key, value in section.items())
        for name, section in facts.settings.items()
        if section
    ]
    return "\n".join(lines) + "\n"


def _curve_lines(curve: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the measurements as a table; of the held-out text 15 % of the tokens are masked."""
    kept = any(point["kept"] is not None for point in curve)
    heads = ["step", "tokens", "loss", *(["1 - cosine"] if kept else []), "held-out loss", "masked accuracy"]
    rows = []
    for point in curve:
        values = [_number(point["loss"], 3), *([_number(point["kept"], 4)] if kept else [])]
        accuracy = point["valid_accuracy"]
        values += [_number(point["valid_loss"], 3), "" if accuracy is None else f"{accuracy:.1%}"]
        rows.append([f"{point['step']:,}", f"{point['tokens']:,}", *values])
    return [_row(heads), _row(["---:"] * len(heads)), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

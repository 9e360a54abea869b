"""The card that goes with a pretrained masked language model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pet.pretraining.progress import Point
from pet.pretraining.text import TextFiles
from pet.pretraining.training import Pretraining


def pretrained_card(
    name: str, start: str | None, text: TextFiles, training: Pretraining, settings: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return the Markdown card of a masked language model; `settings` are the sections of its recipe."""
    corpus, curve = training.data.corpus, training.progress.curve
    last, machine = curve[-1], training.machine
    rate = last.tokens / last.seconds if last.seconds else 0.0
    figures = zip(corpus.tokens.tolist(), training.data.shares.tolist(), training.progress.seen, strict=True)
    lines = [
        "---",
        "pipeline_tag: fill-mask",
        "tags: [pet, masked-lm]",
        "---",
        "",
        f"# {name}: a masked language model",
        "",
        f"{_shape(training.model)}, {settings['output']['dtype']} safetensors. Start: {_start(start)}.",
        "",
        f"Trained with `pet pretrain` for {last.step:,} steps on {last.tokens:,} tokens, "
        f"{last.tokens / corpus.tokens.sum():.2f} passes over the text in the mean, in {last.seconds / 60:.1f} minutes "
        f"({rate:,.0f} tokens per second, {machine.device.type}, {machine.precision}).",
        "",
        "| source | files | tokens | share | tokens seen |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {source.name} | {len(source.files)} | {tokens:,} | {share:.1%} | {seen:,} |"
        for source, (tokens, share, seen) in zip(text.sources, figures, strict=True)
    ]
    lines += ["", *_curve_lines(curve), "", "Settings:", ""]
    lines += [
        f"- {title}: " + ", ".join(f"{key} = {value}" for key, value in section.items())
        for title, section in settings.items()
        if section
    ]
    return "\n".join(lines) + "\n"


def _start(model: str | None) -> str:
    if model is None:
        return "random weights, and a tokenizer trained on the text"
    # A folder's own name: where it lies on this machine is nobody's business.
    known = Path(model)
    return f"`{known.name if known.is_dir() else known}`"


def _shape(model: Any) -> str:
    config, parameters = model.config, sum(weight.numel() for weight in model.parameters())
    return (
        f"{config.model_type}, {config.num_hidden_layers} layers x {config.hidden_size}, {config.vocab_size:,} pieces, "
        f"{parameters:,} parameters"
    )


def _curve_lines(curve: Sequence[Point]) -> list[str]:
    """Return the measurements as a table; of the held-out text 15 % of the tokens are masked."""
    kept = any(point.kept is not None for point in curve)
    heads = ["step", "tokens", "loss", *(["1 - cosine"] if kept else []), "held-out loss", "masked accuracy"]
    rows = []
    for point in curve:
        values = [_number(point.loss, ".3f"), *([_number(point.kept, ".4f")] if kept else [])]
        values += [_number(point.valid_loss, ".3f"), _number(point.valid_accuracy, ".1%")]
        rows.append([f"{point.step:,}", f"{point.tokens:,}", *values])
    return [_row(heads), _row(["---:"] * len(heads)), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)

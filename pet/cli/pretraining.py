"""The command that makes a masked language model: pretrain."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pet.cli.app import Force, Settings, app
from pet.cli.terminal import aligned, say

Out = Annotated[Path, typer.Argument(metavar="OUT", help="The model goes to OUT/model.")]
More = Annotated[list[str] | None, typer.Argument(metavar="FILE", help="More files, as of --text.")]
Text = Annotated[
    list[str] | None,
    typer.Option(metavar="[NAME=]FILE[:SHARE]", help="Text, a document a line, or a table; also .gz; repeatable."),
]
Valid = Annotated[str | None, typer.Option(metavar="FILE", help="Held-out text, which is measured on.")]
Recipe = Annotated[str | None, typer.Option(help="A recipe, a file or a name listed by `pet pipelines`.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="MODEL", help="Start: any masked language model, or an encoder.")
]
Scratch = Annotated[str | None, typer.Option(metavar="LxH", help="Start: random layers x hidden size, such as 6x384.")]
Shape = Annotated[str | None, typer.Option(metavar="bert|modernbert", help="The shape of a model from scratch.")]
Tokens = Annotated[str | None, typer.Option(metavar="wordpiece|bpe", help="The tokenizer of a model from scratch.")]
VocabSize = Annotated[int | None, typer.Option(metavar="N", help="The pieces of that tokenizer.")]
TrimVocab = Annotated[int | None, typer.Option(metavar="N", help="Keep the N pieces of a start that the text needs.")]
Keep = Annotated[
    float | None, typer.Option(metavar="W", help="Add W x (1 - cosine) to the sentence embeddings of the start.")
]
StepLimit = Annotated[int | None, typer.Option(help="Stop after so many updates.")]
TokenLimit = Annotated[int | None, typer.Option(help="Stop after so many tokens.")]
Minutes = Annotated[float | None, typer.Option(help="Stop after so many minutes, those before a kill included.")]
BatchSize = Annotated[int | None, typer.Option(help="Rows of full length per update.")]


@app.command("pretrain")
def pretrain_command(
    out: Out,
    more: More = None,
    text: Text = None,
    valid: Valid = None,
    recipe: Recipe = None,
    start: From = None,
    from_scratch: Scratch = None,
    shape: Shape = None,
    tokenizer: Tokens = None,
    vocab_size: VocabSize = None,
    trim_vocab: TrimVocab = None,
    keep_embeddings: Keep = None,
    steps: StepLimit = None,
    tokens: TokenLimit = None,
    minutes: Minutes = None,
    batch_size: BatchSize = None,
    settings: Settings = None,
    force: Force = False,
) -> None:
    """Train a masked language model on your text, or make one from scratch.

    Example: `pet pretrain models/ours --from pet-mini --text notes.txt.gz --valid held-out.txt --minutes 20`
    """
    from pet.settings.recipe import PretrainConfig

    scratch = {"from_scratch": from_scratch, "shape": shape, "tokenizer": tokenizer, "vocab_size": vocab_size}
    flags: dict[str, dict[str, Any]] = {
        "start": {"model": start, "trim_vocab": trim_vocab, **scratch},
        "text": {"files": [*(text or []), *(more or [])] or None, "valid": valid},
        "masking": {"keep_embeddings": keep_embeddings},
        "train": {"steps": steps, "tokens": tokens, "minutes": minutes, "batch_size": batch_size},
    }
    config = PretrainConfig.from_recipe(recipe, settings or [], _given(flags))
    from pet.pretraining.pretrain import pretrain

    result = pretrain(config, out, force=force)
    curve, last = str(result.directory / "metrics.json"), result.curve[-1].line()
    again = f"pet run CONFIG --set {shlex.quote(f'model.name={result.model}')}"
    say(*aligned({"model": str(result.model), "curve": curve, "at the end": last, "use it": again}.items()))


def _given(flags: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the flags that were given."""
    return {name: {key: value for key, value in keys.items() if value is not None} for name, keys in flags.items()}

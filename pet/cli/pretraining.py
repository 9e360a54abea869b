"""The command that makes a masked language model: pretrain."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pet.cli.app import Force, Settings, app
from pet.terminal import aligned, say

__all__ = ["pretrain_command"]


@app.command("pretrain")
def pretrain_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The model goes to OUT/model.")],
    more: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, as of --text.")] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE[:SHARE]", help="Text, a document a line, or a table; also .gz; repeatable."),
    ] = None,
    valid: Annotated[str | None, typer.Option(metavar="FILE", help="Held-out text, which is measured on.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe, a file or a name listed by `pet pipelines`.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="Any masked language model, or an encoder.")
    ] = None,
    from_scratch: Annotated[str | None, typer.Option(metavar="LxH", help="Layers x hidden size, as in 6x384.")] = None,
    shape: Annotated[str | None, typer.Option(metavar="bert|modernbert", help="The shape from scratch.")] = None,
    tokenizer: Annotated[str | None, typer.Option(metavar="wordpiece|bpe", help="The tokenizer from scratch.")] = None,
    vocab_size: Annotated[int | None, typer.Option(help="Pieces of the tokenizer from scratch.")] = None,
    trim_vocab: Annotated[int | None, typer.Option(metavar="N", help="Keep the N pieces the text needs most.")] = None,
    keep_embeddings: Annotated[
        float | None, typer.Option(metavar="W", help="W x (1 - cosine) to the sentence embeddings of the start.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many updates.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Stop after so many tokens.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes, earlier starts included.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows of full length per update.")] = None,
    seed: Annotated[int | None, typer.Option(help="Order of the rows, masks, new weights.")] = None,
    settings: Settings = None,
    force: Force = False,
) -> None:
    """Train a masked language model on your text, or make one from scratch.

    Example: `pet pretrain models/ours --from pet-mini --text notes.txt.gz --valid held-out.txt --minutes 20`
    """
    from pet.recipe import PretrainConfig

    flags: dict[str, dict[str, Any]] = {
        "start": {
            "model": start,
            "from_scratch": from_scratch,
            "shape": shape,
            "tokenizer": tokenizer,
            "vocab_size": vocab_size,
            "trim_vocab": trim_vocab,
        },
        "text": {"files": [*(text or []), *(more or [])] or None, "valid": valid},
        "masking": {"keep_embeddings": keep_embeddings},
        "train": {"steps": steps, "tokens": tokens, "minutes": minutes, "batch_size": batch_size},
        "run": {"seed": seed},
    }
    given = {name: {key: value for key, value in keys.items() if value is not None} for name, keys in flags.items()}
    config = PretrainConfig.from_recipe(recipe, settings or [], given)
    from pet.pretraining import pretrain

    result = pretrain(config, out, force=force)
    places = {
        "model": str(result.model),
        "curve": str(result.directory / "metrics.json"),
        "at the end": result.curve[-1].line(),
        "try it": f"pet run CONFIG --set model.name={result.model}",
    }
    say(*aligned(places.items()))

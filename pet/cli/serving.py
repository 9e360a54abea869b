"""The command that serves a classifier: serve."""

from typing import Annotated

import typer

from pet.cli.app import Model, app
from pet.cli.terminal import note


@app.command("serve")
def serve_command(
    model: Model,
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen at; 0 takes one that is free.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option(envvar="PET_TOKEN", show_envvar=False, help="Ask for it (default: that in PET_TOKEN, if any)."),
    ] = None,
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="Be a model of Label Studio, too: labels of people go to review.csv.")
    ] = False,
) -> None:
    """Answer requests for labels over HTTP, as text-embeddings-inference does (needs the extra `[serve]`).

    Example: `pet serve runs/quickstart`, then open http://127.0.0.1:8080
    """
    from pet.errors import ConfigError

    try:
        from pet.serving.server import serve
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("fastapi", "starlette", "uvicorn", "prometheus_client"):
            raise
        raise ConfigError(
            f"A server needs {missing}, which is not installed: install the extra, pip install 'pet-labeling[serve]'."
        ) from None
    serve(model, host, port, token, label_studio=label_studio, say=note)

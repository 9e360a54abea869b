"""The command that draws the report of a run."""

from pathlib import Path
from typing import Annotated

import typer

from pet.cli.app import app
from pet.cli.terminal import say


@app.command("report")
def report_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the page goes (default: report.html in the run).")
    ] = None,
    opened: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Draw the report of a run anew, corrections included: one HTML file that needs nothing else.

    Example: `pet report runs/quickstart --open`
    """
    from pet.reports.html.write import write_report

    path = write_report(run, output)
    say(f"report            {path}")
    if opened:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())

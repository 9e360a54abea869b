"""What is left of a run, and what would shorten one, for a terminal."""

from rich.table import Table

from pet.forecast.outlook import Outlook, size, span


def outlook_table(outlook: Outlook) -> Table:
    """Return the stages for a terminal, with their jobs, times and shares."""
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for name in ("jobs", "time", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    found = outlook.forecast
    for stage in found.stages:
        table.add_row(stage.name, str(stage.jobs), span(stage.seconds), f"{stage.seconds / found.seconds:.0%}")
    table.add_row("all", str(found.jobs), span(found.seconds), "")
    return table


def outlook_lines(outlook: Outlook) -> list[tuple[str, str]]:
    """Return what there is to say beside the table, as pairs of a name and a text."""
    found = outlook.forecast
    lines = [("finished", f"{found.finished} jobs, in {outlook.root}")] if found.finished else []
    if not found.jobs:
        return [*lines, ("left", "nothing")]
    memory = [("memory", f"{size(found.memory)} at the peak")] if found.memory is not None else []
    lines += [*memory, ("disk", f"{size(found.disk)} in {outlook.root}")]
    if outlook.refused:
        lines.append(("refused", outlook.refused))
    return lines + [
        ("shorter", f"--set {one.change}  saves {span(one.seconds)}{_cost(one.change)}") for one in outlook.savings
    ]


def _cost(change: str) -> str:
    return "" if change.startswith("run.") else ", and may cost accuracy"

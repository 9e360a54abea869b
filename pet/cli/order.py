"""The order of the commands in ``pet --help`` and in the reference: as a person comes to need them."""

from collections.abc import Mapping

import typer

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Start": ("init", "check", "plan", "pipelines", "patterns", "verbalizers", "explain-prompt"),
    "Label": ("run", "label", "distill", "report", "explain", "next", "import", "prompt"),
    "Use the classifier": ("predict", "evaluate", "export", "push"),
    "Compare": ("runs", "compare", "clean", "curve", "ablate"),
    "Make a model": ("pretrain",),
}
"""The commands by what they are for; one that is in no group comes after all others."""

_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
_PLACE = {name: place for place, name in enumerate(_GROUP_OF)}


def arrange(app: typer.Typer) -> None:
    """Put the commands of an app into their order, and each under the heading of its group."""
    for command in app.registered_commands:
        command.rich_help_panel = _GROUP_OF.get(str(command.name), "Others")
    app.registered_commands.sort(key=lambda command: _PLACE.get(str(command.name), len(_PLACE)))

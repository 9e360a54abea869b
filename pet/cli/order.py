"""The order of the commands in ``pet --help`` and in the reference: as a person comes to need them."""

from collections.abc import Mapping
from typing import TypeVar

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Start": ("init", "check", "plan", "pipelines", "patterns", "verbalizers", "explain-prompt", "search"),
    "Label": ("run", "label", "distill", "report", "explain", "next", "import", "prompt", "job"),
    "Use the classifier": ("predict", "evaluate", "serve", "watch", "info", "export", "push"),
    "Compare": ("runs", "compare", "clean", "curve", "ablate"),
    "Make a model": ("pretrain",),
    "SuperGLUE": ("superglue-rows", "superglue-score", "superglue-submit"),
}
"""The commands by what they are for; one that is in no group comes after all others."""

_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
_PLACE = {name: place for place, name in enumerate(_GROUP_OF)}

Command = TypeVar("Command")


def group_of(name: str) -> str:
    """Return the heading under which a command stands."""
    return _GROUP_OF.get(name, "Others")


def in_order(commands: Mapping[str, Command]) -> dict[str, Command]:
    """Return commands by name, in their order.

    >>> list(in_order({"dream": 1, "pretrain": 2, "run": 3, "check": 4}))
    ['check', 'run', 'pretrain', 'dream']
    """
    return dict(sorted(commands.items(), key=lambda pair: _PLACE.get(pair[0], len(_PLACE))))

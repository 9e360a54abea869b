"""The command: parse, call one function, print. Data goes to stdout, messages to stderr.

Nothing heavy is imported before a command needs it, so that ``pet --help`` answers at once. The commands are listed in
the order that `pet.cli.order` gives them.
"""

# isort: off
from pet.cli.app import app
from pet.cli import (
    starting,
    running,
    using,
    serving,
    watching,
    reporting,
    reviewing,
    asking,
    looking,
    runs,
    pushing,
    pretraining,
    searching,
    superglue,
)

__all__ = [
    "app",
    "asking",
    "looking",
    "pretraining",
    "pushing",
    "reporting",
    "reviewing",
    "running",
    "runs",
    "searching",
    "serving",
    "starting",
    "superglue",
    "using",
    "watching",
]

"""The order of the commands, which help and the reference share."""

import typer

from pet.cli import app
from pet.cli.order import GROUPS, arrange


def test_every_command_has_a_place_and_none_has_two() -> None:
    places = [name for names in GROUPS.values() for name in names]
    assert len(set(places)) == len(places)
    assert [str(command.name) for command in app.registered_commands if command.name not in places] == []


def test_commands_come_as_their_groups_do_and_others_last() -> None:
    mine = typer.Typer()
    for name in ("dream", "pretrain", "run", "check"):
        mine.command(name)(lambda: None)
    arrange(mine)
    assert [(command.name, command.rich_help_panel) for command in mine.registered_commands] == [
        *(("check", "Start"), ("run", "Label"), ("pretrain", "Make a model"), ("dream", "Others")),
    ]

"""The order of the commands, which help and the reference share."""

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from pet.cli import app
from pet.cli.order import GROUPS, group_of


def test_every_command_has_a_place_and_none_has_two() -> None:
    places = [name for names in GROUPS.values() for name in names]
    assert len(set(places)) == len(places)
    assert [str(command.name) for command in app.registered_commands if command.name not in places] == []


def test_help_has_them_in_their_order_and_under_their_headings() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    places = [name for names in GROUPS.values() for name in names if name in group.commands]
    assert list(group.commands) == places
    for name, command in group.commands.items():
        assert isinstance(command, TyperCommand) and command.rich_help_panel == group_of(name)
    assert group_of("dream") == "Others"

"""The command that finds words for labels, and patterns: search."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pet.cli.app import BadRow, Config, Registry, Settings, app
from pet.cli.terminal import load_config, note, say

if TYPE_CHECKING:
    from pet.method.plan.plan import Plan
    from pet.prompts.patterns import Pattern
    from pet.prompts.verbalizers import Verbalizer
    from pet.search.place import SearchPlace
    from pet.settings.config import RunConfig

Kind = Annotated[Literal["verbalizer", "patterns"], typer.Argument(metavar="KIND", help="verbalizer or patterns.")]
MethodName = Annotated[
    Literal["auto", "petal", "petal-ce", "avs", "names"],
    typer.Option(help="How words are chosen; auto tries all, names needs no labeled row."),
]
WordCount = Annotated[int, typer.Option("--words", min=1, metavar="N", help="Words of each label, at most.")]
PerPattern = Annotated[bool, typer.Option("--per-pattern", help="Words of its own for each pattern.")]
Pool = Annotated[Path | None, typer.Option(metavar="RUN", help="Learn from the labels of a run's pool as well.")]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="The file (default: prompts/KIND/TASK.toml).")]
Jobs = Annotated[Path | None, typer.Option(help="Where its jobs lie (default: runs/NAME-search).")]


@app.command("search")
def search_command(
    kind: Kind,
    config: Config,
    words: WordCount = 5,
    method: MethodName = "auto",
    per_pattern: PerPattern = False,
    pool: Pool = None,
    output: Output = None,
    output_dir: Jobs = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
) -> None:
    """Find words for the labels, or patterns, from the labeled rows, and write them as a file of a registry.

    Example: `pet search verbalizer my.toml`
    """
    loaded = load_config(config, settings, registry, on_bad_row)
    from pet.search.registry import registry_file, write_entries
    from pet.search.rows import SearchRows
    from pet.search.showing import Use, words_entries, words_lines, words_name
    from pet.search.words import METHODS, WordSearch

    target = registry_file(output, "verbalizers", loaded.task.name)
    with _opened(loaded, output_dir or Path("runs") / f"{Path(config).stem}-search") as (plan, place):
        rows = SearchRows.of(plan.data, plan.seed, pool)
        search = WordSearch.of(plan.data, rows, _patterns(plan), _words(loaded, plan), place)
        methods = METHODS if method == "auto" else (method,)
        found = search.per_pattern(methods, words) if per_pattern else search.found(methods, words)
    entries = words_entries(found, len(rows.gold), plan.seed)
    write_entries(target, [f"Words for {loaded.task.name}, by `pet search verbalizer`, the best first."], entries)
    say(*words_lines(found, len(rows.gold)))
    instead = "[prompts.words]" if loaded.prompts.words else ""
    use = Use(config, loaded.prompts.registry, "verbalizer", f"{target.stem}/{entries[0].name}", instead)
    say(*use.lines(target))


@contextmanager
def _opened(loaded: "RunConfig", root: Path) -> "Iterator[tuple[Plan, SearchPlace]]":
    """Read what a pipeline names, and open the folder of the search."""
    from pet.method.plan.plan import prepare
    from pet.search.place import open_search

    if not loaded.prompts.patterns:
        loaded = loaded.with_settings({"train": {"preset": "fast"}})  # which asks for none
    plan = prepare(loaded, words=False)
    for message in plan.messages:
        note(message)
    with open_search(root, replace(plan.model, kinds=()), plan.seed) as place:
        yield plan, place


def _patterns(plan: "Plan") -> "list[Pattern]":
    """Return the patterns of a plan without virtual tokens, which say nothing untrained; without any, plain ones."""
    from pet.learners.voters.spec import distinct_pvps
    from pet.search.rules import plain_patterns

    named = [pvp.pattern for pvp in distinct_pvps(plan.patterns) if not pvp.pattern.virtual_parts]
    return named or plain_patterns(plan.data.task.fields)


def _words(loaded: "RunConfig", plan: "Plan") -> "Verbalizer":
    """Return the words that a pipeline has."""
    from pet.prompts.registry import find_verbalizer
    from pet.prompts.verbalizers import Verbalizer

    labels = plan.data.task.labels
    return (find_verbalizer(loaded.prompts) or Verbalizer.from_labels(labels)).for_labels(labels)

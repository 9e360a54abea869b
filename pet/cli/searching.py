"""The command that finds words for labels, and patterns: search."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pet.cli.app import BadRow, Config, Registry, Settings, app, listed
from pet.cli.terminal import load_config, note, say
from pet.errors import ConfigError, near_matches

if TYPE_CHECKING:
    from pet.method.plan.plan import Plan
    from pet.prompts.patterns import Pattern
    from pet.prompts.verbalizers import Verbalizer
    from pet.search.place import SearchPlace
    from pet.search.registry import Entry
    from pet.search.sources import Ways
    from pet.settings.config import RunConfig

Kind = Annotated[Literal["verbalizer", "patterns"], typer.Argument(metavar="KIND", help="verbalizer or patterns.")]
MethodName = Annotated[
    Literal["auto", "mixed", "petal", "petal-ce", "avs", "names"],
    typer.Option(help="How words are chosen; auto tries all, names needs no labeled row."),
]
WordCount = Annotated[int, typer.Option("--words", min=1, metavar="N", help="Words of each label, at most.")]
PerPattern = Annotated[bool, typer.Option("--per-pattern", help="Words of its own for each pattern.")]
Pool = Annotated[Path | None, typer.Option(metavar="RUN", help="Learn from the labels of a run's pool as well.")]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="The file (default: prompts/KIND/TASK.toml).")]
Jobs = Annotated[Path | None, typer.Option(help="Where its jobs lie (default: runs/NAME-search).")]


_BOTH = "rules,paraphrases"
Count = Annotated[int, typer.Option("--count", min=1, metavar="N", help="Patterns to choose, as an ensemble.")]
By = Annotated[
    str, typer.Option("--by", metavar="A,B", help="How patterns are made, without a T5: rules and paraphrases.")
]
About = Annotated[
    str, typer.Option(metavar="NOUN", help='What the labels are, for patterns by rules, such as "topic".')
]
T5 = Annotated[str, typer.Option("--model", metavar="FOLDER", help="A T5, which writes patterns too.")]
Soft = Annotated[Path | None, typer.Option(metavar="RUN", help="Patterns from the virtual tokens of its saved voters.")]


@app.command("search")
def search_command(
    kind: Kind,
    config: Config,
    words: WordCount = 10,
    method: MethodName = "auto",
    per_pattern: PerPattern = False,
    pool: Pool = None,
    count: Count = 4,
    by: By = _BOTH,
    about: About = "",
    t5: T5 = "",
    from_soft: Soft = None,
    output: Output = None,
    output_dir: Jobs = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
) -> None:
    """Find words for the labels, or patterns, by the labeled rows, and write them as a file of a registry.

    Of words: --words, --method, --per-pattern, --pool. Of patterns: --count, --by, --about, --model, --from-soft.

    Example: `pet search verbalizer my.toml`
    """
    of_words = {"--words": words != 10, "--method": method != "auto", "--per-pattern": per_pattern, "--pool": pool}
    of_patterns = {
        "--count": count != 4,
        "--by": by != _BOTH,
        "--about": about,
        "--model": t5,
        "--from-soft": from_soft,
    }
    _refuse(kind, of_patterns if kind == "verbalizer" else of_words)
    loaded = load_config(config, settings, registry, on_bad_row)
    from pet.search.registry import registry_file, write_entries

    folder = "verbalizers" if kind == "verbalizer" else "patterns"
    target = registry_file(output, folder, loaded.task.name)
    with _opened(loaded, output_dir or Path("runs") / f"{Path(config).stem}-search") as (plan, place):
        present = _words(loaded, plan)
        if kind == "verbalizer":
            lines, entries = _search_words(plan, place, present, (method, words, per_pattern, pool))
        else:
            ways = _ways(by, about, t5, from_soft)
            lines, entries = _search_patterns(plan, place, present, ways, count)
    write_entries(target, [f"{kind.capitalize()} for {plan.data.task.name}, by `pet search`."], entries)
    say(*lines, *_use(loaded, config, target, [entry.name for entry in entries]))


def _refuse(kind: str, given: Mapping[str, object]) -> None:
    """Refuse options that are given and are not of this kind of search."""
    for name in [name for name, value in given.items() if value]:
        raise ConfigError(f"{name} says nothing to `pet search {kind}`: leave it out.")


def _ways(by: str, about: str, t5: str, from_soft: Path | None) -> "Ways":
    from pet.search.sources import Ways

    named, known = listed(by), ("rules", "paraphrases")
    for name in named:
        if name not in known:
            raise ConfigError(f"--by {name}: expected rules, paraphrases or both.{near_matches(name, known)}")
    return Ways("rules" in named, "paraphrases" in named, about, t5, from_soft)


def _search_words(
    plan: "Plan", place: "SearchPlace", present: "Verbalizer", wish: "tuple[str, int, bool, Path | None]"
) -> "tuple[list[str], list[Entry]]":
    from pet.search.rows import SearchRows
    from pet.search.showing import words_entries, words_lines
    from pet.search.words import METHODS, WordSearch

    method, count, per_pattern, pool = wish
    rows = SearchRows.of(plan.data, plan.seed, pool)
    search = WordSearch.of(plan.data, rows, _patterns(plan), present, place)
    methods = [name for name in METHODS if method in ("auto", name)]
    found = search.per_pattern(methods, count) if per_pattern else search.found(methods, count)
    return words_lines(found, len(rows.gold)), words_entries(found, len(rows.gold), plan.seed)


def _search_patterns(
    plan: "Plan", place: "SearchPlace", words: "Verbalizer", ways: "Ways", count: int
) -> "tuple[list[str], list[Entry]]":
    from pet.search.patterns import rank_patterns
    from pet.search.rows import SearchRows
    from pet.search.showing import patterns_entries, patterns_lines

    rows, present = SearchRows.of(plan.data, plan.seed), _patterns(plan) if plan.patterns else []
    rows.check()
    others = ways.patterns(plan.data.task, present, words, rows, place)
    found = rank_patterns(present, others, words, count, rows, place)
    return patterns_lines(found, len(rows.gold)), patterns_entries(found, len(rows.gold), plan.seed)


def _use(loaded: "RunConfig", config: str, target: Path, names: list[str]) -> list[str]:
    from pet.search.showing import Use

    prompts = loaded.prompts
    if target.parent.name == "patterns":
        return Use(config, prompts.registry, "patterns", [f"{target.stem}/{name}" for name in names]).lines(target)
    instead = "[prompts.words]" if prompts.words else ""
    return Use(config, prompts.registry, "verbalizer", f"{target.stem}/{names[0]}", instead).lines(target)


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

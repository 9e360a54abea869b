"""Commands that show what there is and what a run would do: check, plan, explain-prompt, and the built-in lists."""

from typing import Annotated

import typer

from pet.cli.app import FAST_RUN, All, BadRow, Config, Fast, Name, NameOrGlob, OutputDir, Registry, Settings, app
from pet.cli.several import check_several_command
from pet.cli.terminal import aligned, load_config, note, print_table, run_place, say, say_json


@app.command("check")
def check_command(
    config: Config,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
    fast: Fast = False,
    every: All = False,
) -> None:
    """Show what the model will read, how it splits the label words, and what to change.

    Example: `pet check my.toml`
    """
    loaded = load_config(config, settings, registry, on_bad_row, {FAST_RUN: fast})
    if loaded.task.multi_label:
        check_several_command(loaded, every=every)
        return
    from pet.method.plan.plan import prepare
    from pet.reports.check import check, report_lines

    plan = prepare(loaded, words=False)
    report = check(plan.data, plan.patterns, plan.model, loaded.run, plan.messages, plan.encoder)
    say(*report_lines(report, every))
    if report.problems:
        raise typer.Exit(2)  # as `pet run` would


@app.command("plan")
def plan_command(
    config: Config,
    output_dir: OutputDir = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
    fast: Fast = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, in seconds and bytes.")] = False,
) -> None:
    """Predict time, memory and disk of a run, or of what is left of one, from a few seconds of its work.

    Example: `pet plan my.toml`
    """
    loaded = load_config(config, settings, registry, on_bad_row, {FAST_RUN: fast})
    from pet.method.plan.opening import foresee_run
    from pet.method.plan.plan import prepare
    from pet.reports.outlook import outlook_lines, outlook_table

    plan = prepare(loaded)
    for message in plan.messages:
        note(message)
    outlook = foresee_run(plan, run_place(config, output_dir))
    if as_json:
        say_json(outlook.as_json())
    else:
        if outlook.forecast.stages:
            print_table(outlook_table(outlook))
        say(*aligned(outlook_lines(outlook)))
    if outlook.refused:
        raise typer.Exit(2)  # as `pet run` would


@app.command("curve")
def curve_command(
    config: Config,
    output_dir: OutputDir = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, accuracies as shares of 1.")] = False,
) -> None:
    """Tell what more labels, or more unlabeled rows, would bring: learning curves of the voters that take seconds.

    Example: `pet curve my.toml`
    """
    loaded = load_config(config, settings, registry, on_bad_row)
    from pet.pipeline import curve
    from pet.reports.curve import curve_lines

    found = curve(loaded, run_place(config, output_dir))
    if as_json:
        say_json(found.as_json())
    else:
        say(*curve_lines(found))


@app.command("explain-prompt")
def explain_prompt_command(
    prompt: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Its name, a template with a {mask}, or a saved voter's folder.")
    ],
    row: Annotated[int, typer.Option(metavar="N", help="The row of the pipeline to show, counted from 1.")] = 1,
    config: Annotated[str, typer.Option(metavar="CONFIG", help="The pipeline that the row comes from.")] = "quickstart",
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
) -> None:
    """Show a row token by token as the model reads it: text, template, virtual tokens, mask, and what is cut.

    Example: `pet explain-prompt topic/about --row 3 --set train.preset=p-tuning`
    """
    loaded = load_config(config, settings, registry, on_bad_row)
    from pet.method.plan.plan import prepare
    from pet.reports.prompt import explain_prompt, prompt_lines, saved_voter

    plan = prepare(loaded if saved_voter(prompt) else loaded.with_pattern(prompt), words=False)
    for message in plan.messages:
        note(message)
    say(*prompt_lines(explain_prompt(prompt, row, plan.data, plan.patterns, plan.model)))


@app.command("patterns")
def patterns_command(name: NameOrGlob = None, registry: Registry = None) -> None:
    """List the patterns, or those of a glob like "topic/*", or show one.

    Example: `pet patterns agnews/category`
    """
    from pet.prompts.registry import load_patterns

    patterns = load_patterns(registry or [])
    if name is None or _is_glob(name):
        found = patterns.select([name or "*"])
        say(*aligned((one.name, one.template + (f"   ({one.language})" if one.language else "")) for one in found))
        return
    pattern = patterns.get(name)
    facts = {
        "name": name,
        "template": pattern.template,
        "fields": ", ".join(pattern.fields),
        "about": pattern.description,
        "language": pattern.language or "English, or not said",
        "file": patterns.origin(name),
    }
    say(*aligned(facts.items()))


@app.command("verbalizers")
def verbalizers_command(name: NameOrGlob = None, registry: Registry = None) -> None:
    """List the verbalizers, or those of a glob like "topic/*", or show one.

    Example: `pet verbalizers agnews/words`
    """
    from pet.prompts.registry import load_verbalizers

    verbalizers = load_verbalizers(registry or [])
    if name is None or _is_glob(name):
        found = verbalizers.select([name or "*"])
        say(*aligned((one.name, "; ".join(f"{k}: {', '.join(v)}" for k, v in one.words.items())) for one in found))
        return
    say(*aligned((label, ", ".join(words)) for label, words in verbalizers.get(name).words.items()))


@app.command("pipelines")
def pipelines_command(name: Name = None) -> None:
    """List the ready-made pipelines, or show one: a start for your own file.

    Example: `pet pipelines quickstart > my.toml`
    """
    from pet.library import pipeline_files, pipeline_text

    if name is None:
        heads = {name: path.read_text(encoding="utf-8").splitlines()[0] for name, path in pipeline_files().items()}
        say(*aligned((name, head.lstrip("# ")) for name, head in heads.items()))
        return
    say(pipeline_text(name).rstrip())


def _is_glob(name: str) -> bool:
    return not {"*", "?", "["}.isdisjoint(name)

"""The command: what goes where, what is listed, the exit codes, and that help answers at once."""

import dataclasses
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from explained import labels_of, parquet
from toy import LABELS, content, rows_of, write_rows
from typer.testing import CliRunner, Result

import pet
from pet.cli import app

COMMANDS = tuple(str(command.name) for command in app.registered_commands)


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def plain(text: str) -> str:
    """Return a help text without colours and frames, as one line."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", text).split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_an_example(name: str) -> None:
    result = command(name, "--help")
    assert result.exit_code == 0
    assert f"Example: pet {name} " in plain(result.stdout).replace("`", "")
    assert result.stderr == ""


def test_the_help_lists_every_command_and_is_shown_without_one() -> None:
    assert {"run", "label", "distill", "predict", "pretrain"} < set(COMMANDS)
    text = plain(command("--help").stdout)
    assert all(f" {name} " in text for name in COMMANDS)
    nothing = command()
    assert nothing.exit_code == 2
    assert "Usage:" in nothing.output


@pytest.mark.parametrize("code", ["import pet.cli", "from pet.cli import app; app(['--help'], standalone_mode=False)"])
def test_help_loads_nothing_heavy(code: str) -> None:
    heavy = ("torch", "transformers", "datasets", "sklearn", "pyarrow", "numpy", "pydantic")
    script = f"{code}\nimport sys\nprint('loaded', [name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "loaded []"


def test_the_package_is_the_command() -> None:
    found = subprocess.run([sys.executable, "-m", "pet", "pipelines"], capture_output=True, text=True, check=True)
    assert "quickstart" in found.stdout
    wrong = subprocess.run([sys.executable, "-m", "pet", "pipelinez"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "Usage: pet " in wrong.stderr


def test_listing_the_library_and_finding_a_typo_loads_no_torch() -> None:
    code = (
        "from pet.cli import app\nimport sys\n"
        "for name in ('patterns', 'verbalizers', 'pipelines'): app([name], standalone_mode=False)\n"
        "for name in ('run', 'label', 'check', 'plan'):\n"
        "    try: app([name, 'quickstart', '--set', 'train.stepz=1'])\n"
        "    except SystemExit as end: assert end.code == 2\n"
        "try: app(['ablate', 'quickstart', '--axis', 'ensemble.calibration=none,btch'])\n"
        "except SystemExit as end: assert end.code == 2\n"
        "print('loaded', [name for name in ('torch', 'transformers', 'sklearn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "loaded []"


def test_run_prints_the_summary_and_the_places_on_stdout_and_messages_on_stderr(
    toy_pipeline: Path, tmp_path: Path
) -> None:
    result = command("run", toy_pipeline, "--output-dir", tmp_path / "run")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    for name in (
        "zero-shot (calibrated)",
        "toy/colon+words",
        "ensemble",
        "distilled classifier",
        "supervised baseline",
    ):
        assert any(re.match(rf"{re.escape(name)}( +\d+\.\d){{3}}$", line.rstrip()) for line in lines), name
    shown = [line for line in lines if re.match(r"(Sports|Business|Tech) +\d\.\d\d +\d\.\d\d +news ", line)]
    assert len(shown) == 5
    for name in ("pseudo_labels.parquet", "metrics.json", "model"):
        assert str(tmp_path / "run" / name) in result.stdout
    assert "transformers.pipeline(" in result.stdout
    assert any(
        re.fullmatch(rf"why a row has its label  pet explain {tmp_path / 'run'} unlabeled-0", line) for line in lines
    )
    assert "warning" not in result.stdout
    assert "\x1b" not in result.stdout + result.stderr  # neither colours nor progress where nobody watches
    again = command("run", toy_pipeline, "--output-dir", tmp_path / "run")
    disk = re.compile(r"[\d.]+ [MG]B")  # the log of the second start is part of it
    assert disk.sub("", again.stdout) == disk.sub("", result.stdout)


def test_run_says_whether_something_simpler_would_have_won_and_what_it_cost(
    toy_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pet.labeling.votes import SoftLabels

    labeled = tmp_path / "pseudo_labels.parquet"
    parquet(labeled, labels_of())
    result = pet.RunResult(tmp_path, labeled, {"text": "body"}, SoftLabels((), (), np.zeros((0, 0), np.float32)))
    for verdict, work, forecast in (("a simpler way is as good", "12 updates", "predicted 2 min"), (None, None, None)):
        told = dataclasses.replace(result, verdict=verdict, work=work, forecast=forecast)
        monkeypatch.setattr("pet.pipeline.run", lambda *_, told=told, **__: told)
        lines = command("run", toy_pipeline).stdout.splitlines()
        assert lines[: lines.index("")] == [
            line for line in (verdict and f"verdict: {verdict}", work, forecast) if line
        ]


def test_messages_about_the_data_go_to_stderr(toy_pipeline: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "labeled_pool.jsonl", rows_of("unlabeled", 4))
    result = command("label", toy_pipeline, "--output-dir", tmp_path / "run", "--set", f"data.unlabeled={rows}")
    jobs = [line for line in result.stderr.splitlines() if line.startswith("job ")]
    assert len(jobs) > 1 and jobs[0].startswith("job 1 of ")
    first, labels, measured = (line for line in result.stderr.splitlines() if line not in jobs)
    assert first == "labels seen in the unlabeled file: ignored"
    assert re.fullmatch(
        r"labels given: Sports \d+, Business \d+, Tech \d+; the voters differ on \d+ of 12 rows", labels
    )
    assert re.fullmatch(r"the ensemble on the test rows: accuracy [\d.]+%, macro-F1 [\d.]+%", measured)
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        f"labeled data set {tmp_path / 'run' / 'pseudo_labels.parquet'}",
        f"a classifier of it pet distill {tmp_path / 'run'}",
        f"why a row has its label pet explain {tmp_path / 'run'} unlabeled-0",
    ]
    assert "labels seen" in (tmp_path / "run" / "run.log").read_text()


def test_label_writes_json_lines_too_and_distill_and_predict_go_on_from_it(toy_pipeline: Path, tmp_path: Path) -> None:
    lines = tmp_path / "labeled.jsonl"
    result = command("label", toy_pipeline, "--output-dir", tmp_path / "run", "--to", lines)
    assert result.exit_code == 0
    assert len(lines.read_text().splitlines()) == 48
    assert str(lines) in result.stdout
    distilled = command("distill", tmp_path / "run", "--set", "distill.steps=3")
    assert distilled.exit_code == 0, distilled.output
    assert distilled.stdout.split() == ["classifier", str(tmp_path / "run" / "model")]
    rows = write_rows(tmp_path / "in.jsonl", rows_of("test", 4))
    predicted = command("predict", tmp_path / "run", rows, "--output", tmp_path / "out.csv")
    assert (predicted.exit_code, predicted.stdout) == (0, "")
    start = f"12 rows labeled in {tmp_path / 'out.csv'}: "
    assert predicted.stderr.startswith(start)
    given = [part.rsplit(" ", 1) for part in predicted.stderr.splitlines()[0].removeprefix(start).split(", ")]
    assert {name for name, _ in given} == set(LABELS) and sum(int(count) for _, count in given) == 12
    assert (
        (tmp_path / "out.csv").read_text().splitlines()[0].startswith("id,text,label,shelf,pet_label,confidence,prob_")
    )
    evaluated = command("evaluate", tmp_path / "run", rows, "--json")
    assert json.loads(evaluated.stdout)["n"] == 12
    assert set(json.loads(evaluated.stdout)["f1"]) == set(LABELS)
    assert command("evaluate", tmp_path / "run", rows).stdout.startswith("12 rows: accuracy ")


def test_distill_from_another_model_into_another_folder(
    finished: pet.RunResult, tmp_path: Path, tiny_model: Path
) -> None:
    import shutil

    run = shutil.copytree(finished.directory, tmp_path / "run")
    odd = shutil.copytree(tiny_model, tmp_path / 'odd "name"')
    result = command("distill", run, "--model", odd, "--output-dir", tmp_path / "mine", "--set", "distill.steps=2")
    assert result.exit_code == 0, result.output
    assert odd.name in (tmp_path / "mine" / "README.md").read_text()
    assert content(run)["model/model.safetensors"] == content(finished.directory)["model/model.safetensors"]


def test_predict_names_the_rows_it_leaves_out(finished: pet.RunResult, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "in.jsonl", [{"text": "game"}, {"text": ""}])
    result = command("predict", finished.directory, rows, "--output", tmp_path / "o.jsonl", "--on-bad-row", "skip")
    assert result.exit_code == 0
    assert "warning: left out" in result.stderr and "line 2" in result.stderr


def test_check_prints_the_report_on_stdout(toy_pipeline: Path) -> None:
    result = command("check", toy_pipeline)
    assert result.exit_code == 0
    assert "[CLS] [MASK] : news" in result.stdout
    assert "change: No pattern knows the labels untrained" in result.stdout.splitlines()[-1]  # the model is random
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("kind", "name", "parts"),
    [
        ("patterns", "toy/colon", ["{mask}: {text}", "text", "toy.toml"]),
        ("patterns", "agnews/category", ["[ Category: {mask} ] {text}"]),
        ("verbalizers", "toy/words", ["Sports", "sports, team"]),
    ],
)
def test_listing_and_showing_with_a_registry(toy_pipeline: Path, kind: str, name: str, parts: list[str]) -> None:
    registry = toy_pipeline.parent / "registry"
    listed = command(kind, "--registry", registry)
    assert listed.exit_code == 0
    assert any(line.startswith(f"{name} ") for line in listed.stdout.splitlines())
    shown = command(kind, name, "--registry", registry)
    assert all(part in shown.stdout for part in parts)
    family = name.partition("/")[0]
    of_glob, of_all = (
        [" ".join(line.split()) for line in result.stdout.splitlines() if line.strip()]
        for result in (command(kind, f"{family}/*", "--registry", registry), listed)
    )
    assert of_glob == [line for line in of_all if line.startswith(f"{family}/")]
    if name.startswith("toy"):
        assert "toy/" not in command(kind).stdout


def test_a_registry_of_the_command_line_serves_a_run(toy_pipeline: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "patterns"
    mine.mkdir(parents=True)
    (mine / "own.toml").write_text('[best]\ntemplate = "{text} It was {mask}."\n')
    options: list[str | Path] = ["--registry", tmp_path / "mine", "--set", "prompts.patterns=own/best"]
    result = command("label", toy_pipeline, "--output-dir", tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    assert "voter/own/best+words" in (tmp_path / "run" / "manifest.json").read_text()


def test_every_ready_made_pipeline_is_listed_with_what_it_is_for() -> None:
    result = command("pipelines")
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "quickstart" in lines
    assert all(len(line.split()) > 3 for line in lines.values())
    for name in lines:
        tomllib.loads(command("pipelines", name).stdout)


def test_a_printed_pipeline_works_where_it_is_saved(tmp_path: Path) -> None:
    text = command("pipelines", "quickstart").stdout
    assert text.startswith("# ")  # with its comments
    (tmp_path / "my.toml").write_text(text)
    mine, ready = pet.RunConfig.from_toml(tmp_path / "my.toml"), pet.RunConfig.from_toml(_quickstart())
    assert mine == ready
    for path in (mine.data.train, mine.data.unlabeled, mine.data.test):
        assert path is not None and Path(path).is_file()


def _quickstart() -> Path:
    from pet.library import pipeline_path

    return pipeline_path("quickstart")


def test_the_default_place_is_named_after_the_pipeline(
    toy_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("label", toy_pipeline).exit_code == 0
    assert (tmp_path / "runs" / "toy" / "pseudo_labels.parquet").is_file()


def test_the_package_offers_its_parts_without_loading_them() -> None:
    import pet as package

    assert {"run", "predict", "RunConfig", "PetError"} <= set(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        package.nonsense  # noqa: B018

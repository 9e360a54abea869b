"""`pet pretrain`, whole: what it leaves, how it goes on after a kill or a full disk, and what it says of bad input."""

import errno
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from test_resume import Server, eventually, serving
from tiny import save_tiny
from toy_text import write_text
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, pipeline
from typer.testing import CliRunner

from pet.cli import app
from pet.errors import StorageError
from pet.learners.models.backbone import Backbone
from pet.learners.models.sources import find_model
from pet.pretraining.pretrain import PretrainResult, pretrain
from pet.runs import atomic
from pet.runs.checkpoints import Checkpoints
from pet.settings.recipe import PretrainConfig

SETTINGS: dict[str, dict[str, Any]] = {
    "text": {"length": 32, "valid_tokens": 300},
    "train": {"steps": 12, "batch_size": 8, "learning_rate": 1e-2},
    "output": {"measurements": 4, "checkpoint_minutes": 0},
    "run": {"device": "cpu", "precision": "fp32"},
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for name, count, seed in (("news-1.txt", 40, 0), ("news-2.txt", 20, 1), ("talk.txt", 20, 2), ("valid.txt", 10, 3)):
        write_text(folder / name, count, seed)
    return folder


@pytest.fixture(scope="module")
def config(texts: Path, tiny_model: Path) -> PretrainConfig:
    files = [f"{texts}/news-1.txt", f"{texts}/news-2.txt", f"{texts}/talk.txt:0.4", f"{texts}/valid.txt"]
    text = {**SETTINGS["text"], "files": files, "valid": f"{texts}/valid.txt"}
    start = {"model": str(tiny_model), "trim_vocab": 200}
    return PretrainConfig.from_mapping({**SETTINGS, "text": text, "start": start})


@pytest.fixture(scope="module")
def finished(config: PretrainConfig, tmp_path_factory: pytest.TempPathFactory) -> PretrainResult:
    return pretrain(config, tmp_path_factory.mktemp("pretrained") / "ours", quiet=True)


def curve_of(result: PretrainResult) -> list[dict[str, object]]:
    return [{**asdict(point), "seconds": 0} for point in result.curve]


def weights(folder: Path) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in load_file(folder / "model.safetensors").items()}


def test_it_leaves_a_stock_model_with_a_card(finished: PretrainResult) -> None:
    backbone = Backbone.masked_lm(find_model(str(finished.model)), torch.device("cpu"))
    assert backbone.model.config.vocab_size == len(backbone.tokenizer) == 200
    told = pipeline("fill-mask", model=str(finished.model), device="cpu")("good [MASK] news")
    assert len(told) == 5
    curve: Sequence[Any] = finished.curve  # it was measured everywhere
    first, last = curve[0], curve[-1]
    assert (last.step, len(finished.curve)) == (12, 5) and last.valid_loss < first.valid_loss
    card = (finished.model / "README.md").read_text()
    assert "# ours: a masked language model" in card and "| news | 2 |" in card and "| 40.0% |" in card
    assert "valid" not in card.split("Settings")[0]  # held out, though a glob had named it
    assert f"| 12 | {last.tokens:,} |" in card and str(finished.directory.parent) not in card


def test_weights_are_averaged_with_those_of_the_start(
    finished: PretrainResult, config: PretrainConfig, tmp_path: Path
) -> None:
    mixed = pretrain(PretrainConfig.from_mapping({**config.model_dump(), "output": {
        **SETTINGS["output"], "trained_share": 0.25}}), tmp_path / "mixed", quiet=True)  # fmt: skip
    start = next((finished.directory / "jobs").glob("*/tokenizer.json")).parent
    first, last = load_file(start / "model.safetensors"), load_file(finished.model / "model.safetensors")
    found = load_file(mixed.model / "model.safetensors")
    for name, weight in found.items():
        np.testing.assert_allclose(weight, 0.75 * first[name] + 0.25 * last[name], atol=1e-6)
    assert any((found[name] != last[name]).any() for name in found)
    assert [point.step for point in mixed.curve] == [point.step for point in finished.curve] + [12]
    assert mixed.curve[-1].valid_loss != mixed.curve[-2].valid_loss


def test_again_it_does_nothing_and_another_one_is_refused(
    finished: PretrainResult, config: PretrainConfig, tmp_path: Path
) -> None:
    changed = (finished.model / "model.safetensors").stat().st_mtime_ns
    assert pretrain(config, finished.directory, quiet=True).curve == finished.curve
    assert (finished.model / "model.safetensors").stat().st_mtime_ns == changed
    toml = tmp_path / "other.toml"
    toml.write_text(config.to_toml().replace("steps = 12", "steps = 13"))
    result = CliRunner().invoke(app, ["pretrain", str(finished.directory), "--recipe", str(toml)])
    assert result.exit_code == 2 and "train.steps was 12 and is 13" in result.stderr


def test_a_full_disk_keeps_the_last_checkpoint_and_the_next_start_goes_on(
    finished: PretrainResult, config: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, calls = atomic.publish_folder, []

    def full(temporary: Path, final: Path) -> None:
        calls.append(final.name.startswith("checkpoint"))
        if sum(calls) == 6:
            raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
        publish(temporary, final)

    monkeypatch.setattr(atomic, "publish_folder", full)
    with pytest.raises(StorageError, match=r"The disk is full .* nothing finished is lost"):
        pretrain(config, tmp_path / "out", quiet=True)
    checkpoint = Checkpoints(tmp_path / "out" / "jobs").latest()
    assert checkpoint is not None
    assert json.loads((checkpoint / "progress.json").read_text())["step"] == 5
    assert not list(checkpoint.parent.glob(".tmp-*"))
    monkeypatch.undo()
    again = pretrain(config, tmp_path / "out", quiet=True)
    assert "going on from step 5" in (tmp_path / "out" / "run.log").read_text()
    assert curve_of(again) == curve_of(finished) and weights(again.model) == weights(finished.model)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are needed")
def test_five_kills_change_no_weight(finished: PretrainResult, config: PretrainConfig, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(config.to_toml())
    out, moments, kills = tmp_path / "ours", random.Random(5), 0
    with serving(Server(tmp_path, recipe)) as server:
        order = ["pretrain", str(out), "--recipe", str(recipe)]
        while kills < 5:
            pid = server.start_command(order)
            wait_for_step(out / "jobs", 2 * kills + 1)
            time.sleep(moments.uniform(0.0, 0.05))
            os.kill(pid, signal.SIGKILL)
            assert server.wait(pid) == -signal.SIGKILL, "it was faster than the kill"
            kills += 1
        assert not (out / "model").exists()
        assert server.wait(server.start_command(order)) == 0, server.errors.read_text()
    curve = json.loads((out / "metrics.json").read_text())["curve"]
    assert [{**point, "seconds": 0} for point in curve] == curve_of(finished)
    assert weights(out / "model") == weights(finished.model)


def wait_for_step(jobs: Path, step: int) -> None:
    def step_of(place: Path) -> int:
        try:
            return int(json.loads((place / "progress.json").read_text())["step"])
        except (OSError, ValueError):  # not there yet, or replaced just now
            return 0

    eventually(lambda: max(map(step_of, Checkpoints(jobs).places)) >= step)


def gpt(folder: Path) -> Path:
    GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=32, n_layer=1, n_head=2)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(save_tiny("roberta", folder / "t")).save_pretrained(folder)
    return folder


def foreign_tokenizer(folder: Path) -> Path:
    save_tiny("bert", folder)
    AutoTokenizer.from_pretrained(save_tiny("roberta", folder / "t")).save_pretrained(folder)
    return folder


BAD_TEXTS = {
    "empty.txt": b"\n \n",
    "short.txt": b"good news\n",
    "latin1.txt": "caf\u00e9 news\n".encode("latin1"),
}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--from", "TINY", "--steps", "1"], "No text is named"),
        (["--text", "none.txt", "--from", "TINY", "--steps", "1"], "No file at .*none.txt"),
        (["--text", "empty.txt", "--from", "TINY", "--steps", "1"], "The source empty has no text"),
        (
            ["--text", "short.txt", "--from", "TINY", "--steps", "1"],
            "The text has 4 tokens, expected more than one row",
        ),
        (["--text", "latin1.txt", "--from", "TINY", "--steps", "1"], "latin1.txt, line 1: byte 0xe9 is not UTF-8"),
        (["--text", "news-1.txt", "--valid", "empty.txt", "--from", "TINY", "--steps", "1"], "has no text"),
        (["--text", "news-1.txt", "--steps", "1"], "No start is named"),
        (["--text", "news-1.txt", "--from", "TINY"], "No limit is set"),
        (["--text", "news-1.txt", "--from", "gpt", "--steps", "1"], "is a 'gpt2' model, expected an encoder"),
        (["--text", "news-1.txt", "--from", "foreign", "--steps", "1"], "has ids up to 552, the model 265 rows"),
        (
            ["--text", "news-1.txt", "--from", "TINY", "--steps", "1", "--trim-vocab", "9"],
            "smaller than the characters",
        ),
        (["--text", "news-1.txt", "--from", "TINY", "--steps", "1", "--trim-vocab", "999"], "The text uses .* pieces"),
        (
            ["--text", "news-1.txt", "--from-scratch", "1x32", "--steps", "1", "--vocab-size", "9"],
            "smaller than the ch",
        ),
        (["--text", "news-1.txt", "--from-scratch", "1x32", "--steps", "1"], "The text supports a vocabulary of"),
        (["--text", "news-1.txt", "--from-scratch", "1x30", "--steps", "1"], "expected layers x hidden size"),
        (
            ["--text", "news-1.txt", "--from", "TINY", "--steps", "1", "--set", "text.length=65"],
            "reads 64 tokens at most",
        ),
        (["--text", "news-1.txt:1.5", "--from", "TINY", "--steps", "1"], "has the share 1.5"),
        (["--text", "news-1.txt", "--from", "TINY", "--steps", "1", "--set", "text.shares={tlak=0.5}"], "no source is"),
        (["--text", "news-1.txt", "--from", "TINY", "--steps", "1", "--set", "train.stesp=1"], "Did you mean steps"),
        (
            [
                "--text",
                "news-1.txt",
                "--from-scratch",
                "1x32",
                "--steps",
                "1",
                "--vocab-size",
                "150",
                "--set",
                "output.trained_share=0.5",
            ],
            "that was trained, head and all, found a new one",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    arguments: list[str], reason: str, texts: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in BAD_TEXTS.items():
        Path(name).write_bytes(content)
    Path("news-1.txt").write_bytes((texts / "news-1.txt").read_bytes())
    if "gpt" in arguments:
        gpt(Path("gpt"))
    if "foreign" in arguments:
        foreign_tokenizer(Path("foreign"))
    given = [str(tiny_model) if argument == "TINY" else argument for argument in arguments]
    result = CliRunner().invoke(app, ["pretrain", "out", "--set", "text.length=32", *given, "--set", "run.device=cpu"])
    error = result.stderr.splitlines()[-1]
    assert result.exit_code == 2, error
    assert error.startswith("error: ")
    assert re.search(reason, error), error
    assert not Path("out").exists()  # so that the mended command is no other run

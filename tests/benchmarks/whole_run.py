"""A whole PET run on AG News against the same run on the plain path: seconds, and whether the labels are the same.

    python tests/benchmarks/whole_run.py [DATA_DIR] [--patterns 4] [--seeds 3] [--steps 100] [--rows 5000]
                                         [--plain-steps 2] [--plain-rows 48] [--json FILE]

Ours is run as it is: files read, voters trained, the pool labeled, a classifier distilled. The plain path (256 tokens,
8 rows, all logits, float32) would take hours, so of each voter, and of the classifier, a few steps and rows are timed
as soon as ours is done, and multiplied; reading and writing count as nothing there. Its labels come from the same
voters: `same_labels` is the share of these rows to which the ensemble gives the same one in the precision of the run
and on the plain path. Without DATA_DIR texts are made up.
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from plain import LENGTH, plain_scores, plain_steps, seconds
from speed import LABELS, texts_of
from transformers import AutoModelForSequenceClassification

import pet
from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model, quiet_transformers
from pet.learners.voters.pvp import PvpVoter

PATTERNS = ("colon", "parenthesis-end", "news", "category", "dash", "parenthesis-front")
BATCH = 16


def pipeline_of(folder: Path, rows: list[Example], options: argparse.Namespace) -> pet.RunConfig:
    """Write the files of the task, 10 labeled rows per label; return its configuration."""
    count = 10 * len(LABELS)
    for name, part in (("train", rows[:count]), ("unlabeled", rows[count:])):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for i, row in enumerate(part):
                label = {"label": row.label or LABELS[i % 4]} if name == "train" else {}
                file.write(json.dumps({"id": f"{name}-{i}", "text": row.fields["text"], **label}) + "\n")
    tables = {
        "task": {"labels": list(LABELS)},
        "data": {"train": str(folder / "train.jsonl"), "unlabeled": str(folder / "unlabeled.jsonl")},
        "prompts": {
            "patterns": [f"agnews/{name}" for name in PATTERNS[: options.patterns]],
            "verbalizer": "agnews/words",
        },
        "train": {"seeds": options.seeds, "steps": options.steps, "batch_size": BATCH},
        "run": {"keep_models": True, "baseline": False, "device": "cpu"},
    }
    return pet.RunConfig.from_mapping(tables)


def plain_student_step(rows: list[Example]) -> float:
    """Return the seconds of one step of the classifier on rows padded to 256 tokens, in float32."""
    backbone = Backbone.masked_lm(find_model("pet-mini"), torch.device("cpu"))
    model = AutoModelForSequenceClassification.from_pretrained(backbone.source.folder, num_labels=len(LABELS)).float()
    texts = [row.fields["text"] for row in rows[:BATCH]]
    tokens = backbone.tokenizer(texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    targets = torch.full((len(texts), len(LABELS)), 1.0 / len(LABELS))

    def step() -> None:
        torch.nn.functional.cross_entropy(model(**tokens).logits, targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    return seconds(step)[0]


def compared(voters: list[PvpVoter], rows: list[Example], options: argparse.Namespace) -> dict[str, float]:
    """Return what the plain path takes per step and per row, and how often the ensemble gives the same label."""
    labeled = [Example(row.id, row.fields, label=LABELS[i % 4]) for i, row in enumerate(rows[:BATCH])]
    some, steps, forwards, both = rows[: options.plain_rows], 0.0, 0.0, []
    for voter in voters:
        plain_seconds, plain = seconds(partial(plain_scores, voter, some))
        forwards += plain_seconds / len(some) / len(voters)
        both.append((voter.scores(some), plain))
        # The first step is left out: it makes the optimizer's state.
        first = seconds(partial(plain_steps, voter, labeled, 1, BATCH))[0]
        more = seconds(partial(plain_steps, voter, labeled, 1 + options.plain_steps, BATCH))[0]
        steps += (more - first) / options.plain_steps / len(voters)
    ours, theirs = (torch.tensor(np.stack(scores)).softmax(-1).mean(0).argmax(-1) for scores in zip(*both, strict=True))
    return {"step": steps, "row": forwards, "same_labels": float((ours == theirs).double().mean())}


def main() -> None:
    """Run ours, time parts of the plain path, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    for name, value in {
        "patterns": 4,
        "seeds": 3,
        "steps": 100,
        "rows": 5000,
        "plain-steps": 2,
        "plain-rows": 48,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    quiet_transformers()
    rows = texts_of("agnews", options.data, options.rows + 10 * len(LABELS))
    with tempfile.TemporaryDirectory() as scratch:
        config = pipeline_of(Path(scratch), rows, options)
        ours, result = seconds(lambda: pet.run(config, Path(scratch) / "run", quiet=True))
        folders = sorted(path.parent for path in Path(scratch).glob("run/jobs/*/model/voter.json"))
        assert len(folders) == options.patterns * options.seeds, folders
        machine = Machine.pick(config.run)
        backbone = Backbone.masked_lm(find_model("pet-mini"), machine.device)
        found = compared([PvpVoter.load(folder, backbone, machine) for folder in folders], rows, options)
        work = json.loads((Path(scratch) / "run" / "metrics.json").read_text(encoding="utf-8"))["work"]
    student = plain_student_step(rows)
    distill_steps = work["steps"] - len(folders) * options.steps
    plain = len(folders) * (options.steps * found["step"] + options.rows * found["row"]) + distill_steps * student
    shown = {
        "voters": len(folders),
        "ours_seconds": ours,
        "plain_seconds": plain,
        "speedup": plain / ours,
        "same_labels": found["same_labels"],
        "plain_step_seconds": found["step"],
        "plain_row_seconds": found["row"],
        "plain_student_step_seconds": student,
    }
    print(json.dumps(shown, indent=2), result.work, sep="\n")
    if options.json:
        options.json.write_text(json.dumps(shown, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()

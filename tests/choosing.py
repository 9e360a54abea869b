"""A toy task whose rows have candidates of their own, ragged and of several tokens, and a pipeline for it.

    pipeline = write_choices(tmp_path, save_tiny("bert", tmp_path / "model"))

A text is about one of the topics of `tests/toy.py`; a word of that topic stands among two or three others.
"""

import json
import random
from pathlib import Path
from typing import Any

WORDS = {
    "sports": ["team", "game", "match won", "coach"],
    "business": ["bank", "market", "money", "shares profit"],
    "tech": ["phone", "chip", "code software", "robot data"],
}
FILLERS = ["a", "the", "and", "at", "by", "is", "it", "was", "in", "of", "my", "all", "to"]
PIPELINE = """
[task]
name = "which"
choices = "options"
fields = {{ text = "text" }}
[data]
train = "train.jsonl"
unlabeled = "unlabeled.jsonl"
test = "test.jsonl"
[prompts]
patterns = ["{{choices:quoted}}? {{text}} {{mask}}.", "{{choices}}? {{mask}} : {{text}}"]
[model]
name = "{model}"
max_length = 48
[train]
steps = 20
batch_size = 12
learning_rate = 1e-2
[distill]
steps = 20
batch_size = 12
learning_rate = 1e-2
[run]
device = "cpu"
precision = "fp32"
baseline = true
"""


def choice_rows(part: str, count: int) -> list[dict[str, Any]]:
    """Return rows of one part, each with two to four candidates, one of which is of the topic of its text."""
    draw, rows = random.Random(part), []
    for i in range(count):
        topic = draw.choice(list(WORDS))
        words = [draw.choice(WORDS[topic]) for _ in range(4)] + draw.choices(FILLERS, k=5)
        draw.shuffle(words)
        right = draw.choice(WORDS[topic])
        others = draw.sample([word for name in WORDS if name != topic for word in WORDS[name]], k=draw.randint(1, 3))
        options = [right, *others]
        draw.shuffle(options)
        rows.append({"id": f"{part}-{i}", "text": " ".join(words), "options": options, "label": options.index(right)})
    return rows


def write_choices(folder: Path, model: Path) -> Path:
    """Write the files of the task and its pipeline; return the path of that."""
    for part, count in (("train", 24), ("unlabeled", 40), ("test", 20)):
        rows = choice_rows(part, count)
        if part == "unlabeled":
            rows = [{name: value for name, value in row.items() if name != "label"} for row in rows]
        (folder / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    path = folder / "which.toml"
    path.write_text(PIPELINE.format(model=model), encoding="utf-8")
    return path

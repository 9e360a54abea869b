"""Mistakes that a person can make in a toy task: what is done to it, and what the one line of the answer has to say."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny import add_token
from toy import rows_of, write_rows
from typer.testing import CliRunner, Result

from pet.cli import app


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@dataclass(frozen=True)
class Toy:
    """A copy of the toy task to break."""

    folder: Path
    model: Path

    def run(self, *options: str | Path, command_name: str = "label") -> Result:
        return command(command_name, self.folder / "toy.toml", "--output-dir", self.folder / "run", *options)

    def patterns(self, text: str) -> None:
        (self.folder / "registry" / "patterns" / "toy.toml").write_text(text, encoding="utf-8")

    def words(self, text: str) -> None:
        (self.folder / "registry" / "verbalizers" / "toy.toml").write_text(f"[words]\n{text}", encoding="utf-8")

    def rows(self, part: str, rows: list[dict[str, Any]]) -> None:
        write_rows(self.folder / f"{part}.jsonl", rows)

    def raw(self, part: str, data: bytes) -> None:
        (self.folder / f"{part}.jsonl").write_bytes(data)

    def settings(self, old: str, new: str) -> None:
        path = self.folder / "toy.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def unlink(toy: Toy) -> None:
    (toy.folder / "train.jsonl").unlink()
    toy.raw("trian", b"")


def unknown_format(toy: Toy) -> None:
    (toy.folder / "train.odt").write_bytes(b"PK")
    toy.settings("train.jsonl", "./train.odt")


def pickled_model(toy: Toy) -> None:
    folder = toy.folder / "pickled"
    shutil.copytree(toy.model, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    toy.settings(toy.model.as_posix(), "pickled")


def causal_model(toy: Toy) -> None:
    import transformers

    folder = toy.folder / "causal"
    shutil.copytree(toy.model, folder)
    config = transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=300)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    toy.settings(toy.model.as_posix(), "causal")


def headless_model(toy: Toy) -> None:
    import transformers

    folder = toy.folder / "headless"
    shutil.copytree(toy.model, folder)
    transformers.AutoModel.from_pretrained(toy.model).save_pretrained(folder)
    toy.settings(toy.model.as_posix(), "headless")


def added_token(toy: Toy) -> None:
    folder = Path(shutil.copytree(toy.model, toy.folder / "added"))
    add_token(folder)
    toy.settings(toy.model.as_posix(), "added")


def other_folder(toy: Toy) -> None:
    (toy.folder / "run").mkdir()
    (toy.folder / "run" / "thesis.txt").write_text("years of work")


def no_patterns_folder(toy: Toy) -> None:
    shutil.rmtree(toy.folder / "registry")


def ipet(toy: Toy, text: str) -> None:
    toy.settings("[model]", f"[ipet]\n{text}\n[model]")


def prior(toy: Toy, text: str) -> None:
    toy.settings("[model]", f"[ensemble.prior]\n{text}\n[model]")


def described(toy: Toy, text: str) -> None:
    toy.settings("[data]", f"[task.descriptions]\n{text}\n[data]")


GOOD = b'{"text": "game", "label": "Sports"}\n'
Break = Callable[[Toy], object]


def reviewed(toy: Toy, text: str) -> None:
    (toy.folder / "review.csv").write_text(text, encoding="utf-8")
    toy.settings("[prompts]", 'reviewed = ["review.csv"]\n[prompts]')


CASES: dict[str, tuple[Break, tuple[str, ...]]] = {
    "missing file": (unlink, ("No file at", "train.jsonl", "Did you mean trian.jsonl")),
    "missing column": (
        lambda toy: toy.settings("[data]", '[task.fields]\ntext = "txt"\n[data]'),
        ("has no column 'txt'", "map it in [task.fields]", "Did you mean text?"),
    ),
    "missing label column": (
        lambda toy: toy.rows("train", [{"text": "game", "labl": "Sports"}]),
        ("has no column 'label'", "Did you mean labl?"),
    ),
    "reviewed rows that are not there": (
        lambda toy: reviewed(toy, "id,label\nunlabelled-0,Tech\n"),
        ("review.csv", "no row of the run has the id 'unlabelled-0'", "Did you mean unlabeled-"),
    ),
    "reviewed rows with another label": (
        lambda toy: reviewed(toy, "id,label\nunlabeled-0,Teck\n"),
        ("review.csv", "has the label 'Teck', expected one of", "Did you mean Tech?"),
    ),
    "reviewed rows of another run": (
        lambda toy: reviewed(toy, "id,label,run\nunlabeled-0,Tech,0123456789abcdef\n"),
        ("review.csv", "is of another run ('0123456789abcdef'", "empty its column run"),
    ),
    "a review without a label": (
        lambda toy: reviewed(toy, "id,label\nunlabeled-0,\n"),
        ("review.csv has no row with a label", "write labels into its column label"),
    ),
    "a review that contradicts itself": (
        lambda toy: reviewed(toy, "id,label\nunlabeled-0,Tech\nunlabeled-0,Sports\n"),
        ("review.csv, line 3", "the label 'Sports' here and the label 'Tech' before", "name both people"),
    ),
    "no review": (lambda toy: reviewed(toy, ""), ("review.csv has no row with a label",)),
    "empty file": (lambda toy: toy.raw("unlabeled", b""), ("unlabeled.jsonl has no rows",)),
    "no unlabeled file": (
        lambda toy: toy.settings('unlabeled = "unlabeled.jsonl"\n', ""),
        ("[data] unlabeled is missing",),
    ),
    "unknown format": (unknown_format, ("train.odt does not end in .csv",)),
    "no such file and no suffix": (
        lambda toy: toy.settings('"train.jsonl"', '"./train"'),
        ("No file at", "Did you mean train.jsonl?", "Files end in .csv, .tsv, .jsonl"),
    ),
    "an empty model name": (
        lambda toy: toy.settings(toy.model.as_posix(), ""),
        ("model.name: expected a bundled name, a folder or a hub id",),
    ),
    "a task name that leads elsewhere": (
        lambda toy: toy.settings('"toy"', '"../toy"'),
        ("task.name: expected letters, digits", "found '../toy'"),
    ),
    "a label name of several tokens": (
        lambda toy: (
            toy.settings('verbalizer = "toy/words"\n', ""),
            toy.settings('"Tech"]', '"Tech news zebra"]'),
            toy.rows("train", rows_of("train", 4)[:2]),
            toy.rows("test", rows_of("test", 4)[:2]),
        ),
        ("label name 'Tech news zebra'", "[prompts] verbalizer", "prompts.multi_token = true"),
    ),
    "label outside the task": (
        lambda toy: toy.rows("train", [*rows_of("train", 4), {"text": "game", "label": "sports"}]),
        ("line 13", "the label 'sports' is none of 'Sports', 'Business', 'Tech'", "Did you mean"),
    ),
    "one label only in the settings": (
        lambda toy: toy.settings('["Sports", "Business", "Tech"]', '["Sports"]'),
        ("expected at least two different labels",),
    ),
    "one label only in the train file": (
        lambda toy: (
            toy.settings('labels = ["Sports", "Business", "Tech"]\n', ""),
            toy.settings('test = "test.jsonl"\n', ""),
            toy.rows("train", [{"text": f"game {i}", "label": "Sports"} for i in range(4)]),
        ),
        ("has 1 label(s) ['Sports']", "at least two are needed"),
    ),
    "not UTF-8": (lambda toy: toy.raw("train", GOOD + '{"text": "café"}'.encode("latin-1")), ("line 2", "not UTF-8")),
    "UTF-16": (lambda toy: toy.raw("train", GOOD.decode().encode("utf-16")), ("not UTF-8", "UTF-16")),
    "half a surrogate pair": (
        lambda toy: toy.raw("train", GOOD + b'{"text": "half \\ud83d pair", "label": "Sports"}'),
        ("line 2", "half a surrogate pair", "--on-bad-row skip"),
    ),
    "NUL": (
        lambda toy: toy.raw("train", GOOD + b'{"text": "nul \\u0000", "label": "Sports"}'),
        ("line 2", "a NUL character"),
    ),
    "a row without text": (
        lambda toy: toy.raw("unlabeled", GOOD + b'{"text": "  "}\n'),
        ("unlabeled.jsonl, line 2", "only blank text", "--on-bad-row skip"),
    ),
    "a row that is no JSON": (lambda toy: toy.raw("train", GOOD + b"{text: 1}\n"), ("line 2", "no JSON object")),
    "duplicate ids": (
        lambda toy: toy.rows("unlabeled", [{"id": "x", "text": "game"}, {"id": "x", "text": "bank"}]),
        ("line 2", "the id 'x' stands in line 1 already", "make the ids unique"),
    ),
    "a word of several tokens": (
        lambda toy: toy.words('Sports = ["zebra"]\nBusiness = ["bank"]\nTech = ["chip"]'),
        ("'zebra' of label 'Sports'", "5 tokens", "pet check", "prompts.multi_token"),
    ),
    "an unknown word": (
        lambda toy: toy.words('Sports = ["Ω"]\nBusiness = ["bank"]\nTech = ["chip"]'),
        ("'Ω' of label 'Sports'", "unknown to this tokenizer"),
    ),
    "a word of two labels": (
        lambda toy: toy.words('Sports = ["game"]\nBusiness = ["game"]\nTech = ["chip"]'),
        ("uses the word 'game' 2 times", "['Sports', 'Business']"),
    ),
    "words that are one to the tokenizer": (
        lambda toy: toy.words('Sports = ["Game"]\nBusiness = ["game"]\nTech = ["chip"]'),
        ("the word 'game' of label 'Business'", "as a word of label 'Sports'"),
    ),
    "a label without words": (
        lambda toy: toy.words('Sports = ["game"]\nBusiness = ["bank"]'),
        ("has no words for the label 'Tech'",),
    ),
    "words of an unknown label": (
        lambda toy: toy.words('Sports = ["game"]\nBusiness = ["bank"]\nTech = ["chip"]\nTekh = ["code"]'),
        ("'Tekh', which is no label of the task", "Did you mean Tech?"),
    ),
    "a pattern without a mask": (
        lambda toy: toy.patterns('[bare]\ntemplate = "It is {text}."'),
        ("toy.toml [bare]", "has no {mask}"),
    ),
    "a pattern with two masks": (
        lambda toy: toy.patterns('[two]\ntemplate = "{mask} {text} {mask}"'),
        ("2 times {mask}",),
    ),
    "a pattern with an unknown field": (
        lambda toy: toy.patterns('[wrong]\ntemplate = "{txt} {mask}"'),
        ("needs the field 'txt'", "Did you mean text?"),
    ),
    "no such pattern": (
        lambda toy: toy.settings('["toy/*"]', '["tpy/*"]'),
        ("No pattern fits 'tpy/*'", "Did you mean toy/*"),
    ),
    "no pattern named": (lambda toy: toy.settings('["toy/*"]', "[]"), ("No pattern is named", "pet patterns")),
    "no such verbalizer": (lambda toy: toy.settings('"toy/words"', '"toy/wrods"'), ("'toy/wrods'", "toy/words")),
    "no such registry": (no_patterns_folder, ("registry",)),
    "a template longer than the model allows": (
        lambda toy: toy.patterns(f'[long]\ntemplate = "{"the " * 70}{{mask}} {{text}}"'),
        ("Pattern 'toy/long' needs 7", "model.max_length"),
    ),
    "a kept field longer than the model allows": (
        lambda toy: (
            toy.patterns('[kept]\ntemplate = "{mask}: {text:keep}"'),
            toy.rows("unlabeled", [{"text": "game"}, {"text": "game " * 80}]),
        ),
        ("Pattern 'toy/kept' needs 8", "unlabeled-2"),
    ),
    "no such model": (
        lambda toy: toy.settings(toy.model.as_posix(), "./gone"),
        ("No model", "gone", "no bundled name, no folder"),
    ),
    "a causal model and a pattern whose mask is first": (
        causal_model,
        ("after its mask, which a causal language model does not see", "whose mask is last"),
    ),
    "a model without its head": (headless_model, ("has no masked-LM head",)),
    "only pickled weights": (pickled_model, ("only pickled weights (pytorch_model.bin)", "save_pretrained")),
    "a tokenizer with more tokens than the model": (added_token, ("has ids up to", "rows of embeddings")),
    "a description of an unknown label": (
        lambda toy: described(toy, 'Sprots = "matches"'),
        ("[task.descriptions] describes 'Sprots', which is no label of the task", "Did you mean Sports?"),
    ),
    "a description of an unknown label of the train file": (
        lambda toy: (
            toy.settings('labels = ["Sports", "Business", "Tech"]\n', ""),
            described(toy, 'Sprots = "matches"'),
        ),
        ("[task.descriptions] describes 'Sprots', which is no label of the task", "Did you mean Sports?"),
    ),
    "an empty description": (
        lambda toy: described(toy, 'Sports = ""'),
        ("toy.toml: task.descriptions.Sports: expected a text that says what the label is about", "found ''."),
    ),
    "a description without a letter": (
        lambda toy: described(toy, 'Sports = "1, 2, 3"'),
        ("task.descriptions.Sports: expected a text", "found '1, 2, 3'."),
    ),
    "a description that is no text": (
        lambda toy: described(toy, "Sports = true"),
        ("task.descriptions.Sports: input should be a valid string, found True.",),
    ),
    "no such device": (lambda toy: toy.settings('"cpu"', '"warp"'), ('run.device = "warp"', '"auto"')),
    "unknown key": (
        lambda toy: toy.settings("steps = 16", "stesp = 16"),
        ("unknown key 'stesp'", "Did you mean steps"),
    ),
    "unknown section": (lambda toy: toy.settings("[distill]", "[distil]"), ("[distil]", "Did you mean distill?")),
    "more generations than the pool can fill": (
        lambda toy: (ipet(toy, "generations = 3\ngrowth = 2"), toy.rows("unlabeled", rows_of("unlabeled", 12)[1:])),
        # 4 per label and a factor of 2: 12 and then 36 rows are drawn.
        ("ipet.generations = 3", "generation 2 draw 36 rows", "there are 35 unlabeled ones", "to 2 at most", "(now 2)"),
    ),
    "a single voter": (
        lambda toy: (ipet(toy, "generations = 2\ngrowth = 2"), toy.settings('"toy/*"', '"toy/colon"')),
        ("One pattern with one seed is a single voter", "add a pattern, or set train.seeds = 2"),
    ),
    "sets that do not grow": (lambda toy: ipet(toy, "growth = 1.0"), ("ipet.growth", "greater than 1, found 1.0")),
    "a share of nobody": (lambda toy: ipet(toy, "share = 0.0"), ("ipet.share", "greater than 0, found 0.0")),
    "a share of more than all": (lambda toy: ipet(toy, "share = 1.5"), ("ipet.share", "less than or equal to 1")),
    "no generation": (
        lambda toy: ipet(toy, "generations = 0"),
        ('ipet.generations: expected a whole number from 1 on, or "auto", found 0.',),
    ),
    "many generations": (
        lambda toy: ipet(toy, 'generations = "many"'),
        ("expected a whole number from 1 on, or \"auto\", found 'many'.",),
    ),
    "half a generation": (lambda toy: ipet(toy, "generations = 2.5"), ("expected a whole number", "found 2.5")),
    "rows maybe held out": (
        lambda toy: ipet(toy, 'held_out = "maybe"'),
        ("ipet.held_out: expected true, false or \"auto\", found 'maybe'.",),
    ),
    "a prior that does not sum to 1": (
        lambda toy: prior(toy, "Sports = 0.5\nBusiness = 0.5\nTech = 0.5"),
        ("ensemble.prior: expected shares that sum to 1, found a sum of 1.5.",),
    ),
    "a prior with a negative share": (
        lambda toy: prior(toy, "Sports = 0.7\nBusiness = 0.5\nTech = -0.2"),
        ("ensemble.prior: expected a share above 0 of each label, found -0.2 of 'Tech'.",),
    ),
    "a prior of a wrong label": (
        lambda toy: prior(toy, "Sports = 0.5\nBusiness = 0.3\nTehc = 0.2"),
        ("ensemble.prior names 'Tehc'", "Did you mean Tech?"),
    ),
    "a prior without a label": (
        lambda toy: prior(toy, "Sports = 0.5\nTech = 0.5"),
        ("ensemble.prior has no share for 'Business'", "['Sports', 'Business', 'Tech']"),
    ),
    "a prior of an unknown name": (
        lambda toy: toy.settings("[ensemble]\n", '[ensemble]\nprior = "best"\n'),
        ('ensemble.prior: expected "none", "labels", "uniform", or a share per label', "found 'best'."),
    ),
    "the prior of labels that are not there": (
        lambda toy: (
            toy.settings("[ensemble]\n", '[ensemble]\nprior = "labels"\n'),
            toy.settings('train = "train.jsonl"\n', ""),
        ),
        ('ensemble.prior = "labels" needs labeled rows', '"uniform"', "a share per label"),
    ),
    "a folder of somebody else": (other_folder, ("is not empty and holds no run of pet", "thesis.txt", "--output-dir")),
}

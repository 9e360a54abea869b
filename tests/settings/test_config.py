"""Settings: what is refused and how it is said, overrides, what a path is relative to, and the way back to TOML."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pet.errors import ConfigError
from pet.settings.config import RunConfig
from pet.settings.toml import DATA_SUFFIXES, absolute


def write(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trian]\nsteps = 3", "unknown section [trian]. Did you mean train?"),
        ("[train]\nstepz = 3", "unknown key 'stepz' in [train]. Did you mean steps?"),
        ("[ensemble]\nwieghting = 'uniform'", "unknown key 'wieghting' in [ensemble]. Did you mean weighting?"),
        (
            "[run]\nzzz = 1",
            "unknown key 'zzz' in [run]. Known: address, baseline, device, executor,",
        ),
        ("[train]\nsteps = 'many'", "train.steps: input should be a valid integer"),
        ("[train]\nsteps = -1", "train.steps: input should be greater than or equal to 0, found -1"),
        ("[train]\nsteps = 1.5", "train.steps: input should be a valid integer"),
        ("[train]\nbatch_size = 0", "train.batch_size: input should be greater than or equal to 1, found 0"),
        ("[train]\nlearning_rate = 0", "train.learning_rate: input should be greater than 0"),
        ("[train]\nlearning_rate = inf", "train.learning_rate: input should be a finite number"),
        ("[train]\nstop_loss = true", "train.stop_loss: expected a number, found True"),
        ("[distill]\nsteps = false", "distill.steps: expected a number, found False"),
        ("[train]\nlearning_rate = nan", "train.learning_rate: input should be a finite number"),
        ("[train]\nauxiliary_mlm = 1.0", "train.auxiliary_mlm: input should be less than 1"),
        ("[train]\naccumulation = 3", "accumulation = 3 does not divide batch_size = 16"),
        (
            "[ensemble]\nweighting = 'best'",
            "ensemble.weighting: input should be 'auto', 'uniform', 'accuracy' or 'agree",
        ),
        ("[ensemble]\nmean = 'median'", "ensemble.mean: input should be 'calibrated' or 'raw', found 'median'."),
        ("[encoder]\nname = ''", "encoder.name: expected a bundled name, a folder or a hub id, found ''"),
        ("[encoder]\nnaem = 'none'", "unknown key 'naem' in [encoder]. Did you mean name?"),
        ("[refine]\nmethod = 'smooth'", "refine.method: input should be 'auto', 'graph' or 'none', found 'smooth'."),
        ("[refine]\nneighbours = 0", "refine.neighbours: input should be greater than or equal to 1, found 0"),
        ("[train]\nembedding = 'perhaps'", "train.embedding: input should be a valid boolean"),
        (
            "[[train.voters]]\nlearner = 'knn'",
            "learner: input should be 'pvp', 'in-context', 'embedding' or 'contrastive'",
        ),
        ("[[train.voters]]\nmodel = 'e5-small'", 'model is that of learner = "embedding" or "contrastive"'),
        (
            "[[train.voters]]\nlearner = 'embedding'\npatterns = ['a/*']",
            'learner = "embedding" has no patterns: leave it out',
        ),
        ("[[train.voters]]\nlearner = 'embedding'\nsteps = 3", 'learner = "embedding" has no steps: leave it out'),
        ("[[train.voters]]\nlearner = 'embedding'\npreset = 'lora'", 'learner = "embedding" has no preset'),
        ("[ensemble]\nprior = 0.5", 'ensemble.prior: expected "none", "labels", "uniform", or a share per label'),
        ("[ensemble]\nprior = {a = 'half', b = 0.5}", "a share above 0 of each label, found 'half' of 'a'."),
        ("[ensemble]\nprior = {a = nan, b = 0.5}", "a share above 0 of each label, found nan of 'a'."),
        ("[ensemble]\nprior = {a = true}", "a share above 0 of each label, found True of 'a'."),
        ("[ensemble]\nprior = {a = inf, b = 0.5}", "expected shares that sum to 1, found a sum of inf."),
        ("[ipet]\ngenerations = true", 'ipet.generations: expected a whole number from 1 on, or "auto", found True.'),
        ("[ipet]\nconfidence = 'best'", "ipet.confidence: input should be 'probability', 'margin', 'consensus' or"),
        ("[ipet]\nheld_out = 1", 'ipet.held_out: expected true, false or "auto", found 1.'),
        ("[distill]\ntemperature = 0.0", "distill.temperature: input should be greater than 0"),
        ("[run]\nseed = -1", "run.seed: input should be greater than or equal to 0"),
        ("[model]\nmax_length = 4", "model.max_length: input should be greater than or equal to 8"),
        ("[model]\nname = ''", "model.name: expected a bundled name, a folder or a hub id, found ''"),
        ("[distill]\nmodel = ' '", "distill.model: expected a bundled name, a folder or a hub id"),
        ("[task]\nname = ''", "task.name: expected letters, digits, spaces"),
        ("[task.fields]\nid = 'Nr.'", 'task.fields: expected texts; the column of the ids is [task] id_column = "Nr."'),
        ("[task.descriptions]\na = ''", "task.descriptions.a: expected a text that says what the label is about"),
        ("[task.descriptions]\na = ' ... '", "such as \"invoices, charges, refunds\", found ' ... '."),
        ("[task.descriptions]\na = 5", "task.descriptions.a: expected a text that says what the label is about"),
        ("[task.descriptions]\na = ['b']", "task.descriptions.a: input should be a valid string, found ['b']"),
        ("[task]\ndescriptions = 'a'", "task.descriptions: input should be a valid dictionary, found 'a'"),
        ("[train]\ndescriptions = 1.5", "train.descriptions: input should be less than or equal to 1, found 1.5"),
        ("[ipet]\ncap = 0", "ipet.cap: input should be greater than 0"),
        ("[task]\nname = '../x'", "task.name: expected letters, digits, spaces"),
        ("[task]\nname = 'a/b'", "found 'a/b'."),
        ("[task]\nname = '.hidden'", "neither '.' nor a space first, found '.hidden'."),
        ('[task]\nname = "a\\nb"', "task.name: expected letters"),
        ("[model]\nname = true", "model.name: input should be a valid string, found True"),
        ("[task]\nlabels = ['a']", "task.labels: expected at least two different labels, found ['a']"),
        ("[task]\nlabels = ['1']", "task.labels: expected at least two different labels, found ['1']."),
        ("[task]\nlabels = ['a', 'a']", "at least two different labels"),
        ("[task]\nlabels = [1, true, 1]", "at least two different labels"),
        ("[task]\nlabels = [['a'], ['b']]", "task.labels.0: input should be a valid string"),
        ("task = 5", "task: input should be a valid dictionary"),
        ("[task\n", "is not a readable TOML file"),
        ("[task]\nname = 'a'\nname = 'b'", "is not a readable TOML file"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_toml(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value).rstrip("\n")


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is neither a file nor a ready-made one"):
        RunConfig.from_toml(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"[task]\nname = 'caf\xe9'")
    with pytest.raises(ConfigError, match="not a readable TOML file"):
        RunConfig.from_toml(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match="it is neither a file nor a ready-made one"):
        RunConfig.from_toml(tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf[train]\nsteps = 7\n")
    assert RunConfig.from_toml(tmp_path / "bom.toml").train.steps == 7


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.steps=60", "train", "steps", 60),
        ("train.steps = 60", "train", "steps", 60),
        ("train.learning_rate=3e-5", "train", "learning_rate", 3e-5),
        ("ensemble.weighting=agreement", "ensemble", "weighting", "agreement"),
        ('ensemble.weighting="agreement"', "ensemble", "weighting", "agreement"),
        ("task.name=my task", "task", "name", "my task"),
        ("task.name=2024", "task", "name", "2024"),
        ("run.baseline=false", "run", "baseline", False),
        ('task.labels=["no", "yes"]', "task", "labels", ("no", "yes")),
        ("task.labels=[0, 1]", "task", "labels", ("0", "1")),
        ("task.labels=[false, true]", "task", "labels", ("false", "true")),
        ("prompts.patterns=topic/*", "prompts", "patterns", ("topic/*",)),
        ('prompts.patterns=["a/*", "b/c"]', "prompts", "patterns", ("a/*", "b/c")),
        ("task.fields.text=body", "task", "fields", {"text": "body"}),
        ("task.fields.text=a=b", "task", "fields", {"text": "a=b"}),
        ("task.descriptions.billing=charges, tax", "task", "descriptions", {"billing": "charges, tax"}),
        ('task.descriptions.billing="charges, tax"', "task", "descriptions", {"billing": "charges, tax"}),
        ('task.descriptions."Sci/Tech"="chips"', "task", "descriptions", {"Sci/Tech": "chips"}),
        ("task.descriptions.Sci/Tech=chips", "task", "descriptions", {"Sci/Tech": "chips"}),
        ('task.descriptions."v1.0 = new"=a=b', "task", "descriptions", {"v1.0 = new": "a=b"}),
        ("task.descriptions.'a \"b\"'=c", "task", "descriptions", {'a "b"': "c"}),
        ("task.descriptions.Größe=klein, groß", "task", "descriptions", {"Größe": "klein, groß"}),
        ("task.descriptions.1=one star", "task", "descriptions", {"1": "one star"}),
        ("model.name=owner/model", "model", "name", "owner/model"),
    ],
)
def test_overrides_take_toml_values_and_plain_words(
    tmp_path: Path, override: str, section: str, key: str, value: Any
) -> None:
    config = RunConfig.from_toml(write(tmp_path, ""), [override])
    assert getattr(getattr(config, section), key) == value


def test_overrides_win_over_the_file_and_later_ones_over_earlier(tmp_path: Path) -> None:
    path = write(tmp_path, "[task.fields]\ntext = 'body'\n[train]\nsteps = 1\nseeds = 4")
    config = RunConfig.from_toml(path, ["train.steps=2", "train.steps=3", "task.fields.title=head"])
    assert (config.train.steps, config.train.seeds) == (3, 4)
    assert config.task.fields == {"text": "body", "title": "head"}


@pytest.mark.parametrize("override", ["steps=3", "train.steps", "=3", ".steps=3", "train.=3", "train..steps=3", ""])
def test_an_override_of_another_form_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=r"is not of the form section\.key=value"):
        RunConfig.from_toml(write(tmp_path, ""), [override])


def test_an_override_below_a_value_is_refused_and_an_unknown_one_has_the_near_match(tmp_path: Path) -> None:
    path = write(tmp_path, "train = 3")
    with pytest.raises(ConfigError, match=r"--set train\.steps: 'train' is a value in the file, not a section"):
        RunConfig.from_toml(path, ["train.steps=1"])
    with pytest.raises(ConfigError, match=r"'name' is a value, not a section"):
        RunConfig.from_toml(path, ["model.name=a", "model.name.x=b"])
    with pytest.raises(ConfigError, match=r"^--set: unknown key 'step' in \[train\]\. Did you mean steps"):
        RunConfig.from_toml(write(tmp_path, ""), ["train.step=1"])
    with pytest.raises(ConfigError, match=r"^--set: train\.batch_size: "):
        RunConfig.from_toml(write(tmp_path, "[train]\nsteps = 2"), ["train.batch_size=0"])
    wrong = write(tmp_path, "[train]\nsteps = 'many'")
    with pytest.raises(ConfigError, match=rf"^{wrong}: train\.steps: "):
        RunConfig.from_toml(wrong, ["train.batch_size=2"])


def test_a_line_break_in_an_override_sets_nothing_else(tmp_path: Path) -> None:
    config = RunConfig.from_toml(write(tmp_path, ""), ["task.label_column=1\nseed = 3"])
    assert config.task.label_column == "1\nseed = 3"


@pytest.mark.parametrize("name", ["my task", "v1.2_b-c", "Größe 3", "a..b", "-x"])
def test_a_task_name_is_that_of_a_folder(name: str) -> None:
    assert RunConfig.from_mapping({"task": {"name": name}}).task.name == name


@pytest.mark.parametrize("override", ["data.test=", 'data.test=""', "data.test= "])
def test_an_empty_data_set_is_unset(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, '[data]\ntrain = ""\ntest = "t.csv"')
    assert RunConfig.from_toml(path).data.test is not None
    config = RunConfig.from_toml(path, [override])
    assert (config.data.test, config.data.train) == (None, None)
    assert config.absolute() == config


def test_paths_of_the_file_are_relative_to_it_and_those_of_overrides_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    text = '[data]\ntrain = "t.csv"\nunlabeled = "../u.jsonl.gz"\n[prompts]\nregistry = ["prompts"]\n'
    config = RunConfig.from_toml(write(tmp_path / "there", text), ["data.test=sub/test.csv"])
    assert config.data.train == str(tmp_path / "there" / "t.csv")
    assert config.data.unlabeled == str(tmp_path / "u.jsonl.gz")
    assert config.data.test == str(tmp_path / "here" / "sub" / "test.csv")
    assert config.prompts.registry == (str(tmp_path / "there" / "prompts"),)
    assert config.with_registries(["mine"]).prompts.registry[1] == str(tmp_path / "here" / "mine")


@pytest.mark.parametrize(
    "name", ["owner/data.v1", "owner/name", "owner/data.v1:train", "name:validation", "owner/my.json.data"]
)
def test_a_hub_data_set_is_no_path(tmp_path: Path, name: str) -> None:
    assert RunConfig.from_toml(write(tmp_path, f'[data]\ntrain = "{name}"')).data.train == name
    assert RunConfig.from_toml(write(tmp_path, ""), [f"data.train={name}"]).data.train == name


def test_a_hub_name_is_a_path_where_there_is_such_a_folder_or_file(tmp_path: Path) -> None:
    (tmp_path / "owner" / "data.v1").mkdir(parents=True)
    for name in ("owner/data.v1", "owner/data.v1:train"):
        assert RunConfig.from_toml(write(tmp_path, f'[data]\ntrain = "{name}"')).data.train == str(tmp_path / name)


@pytest.mark.parametrize("suffix", [*DATA_SUFFIXES, *(f"{suffix}.gz" for suffix in DATA_SUFFIXES), ".CSV"])
def test_a_data_file_is_a_path_even_where_it_is_missing(tmp_path: Path, suffix: str) -> None:
    config = RunConfig.from_toml(write(tmp_path, f'[data]\ntrain = "rows/train{suffix}"'))
    assert config.data.train == str(tmp_path / "rows" / f"train{suffix}")


def test_models_are_bundled_names_hub_ids_or_folders(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "same").mkdir()
    (tmp_path / "pet-mini").mkdir()
    for name in ("pet-mini", "bert-base-uncased", "owner/model.v2"):
        assert RunConfig.from_toml(write(tmp_path, f'[model]\nname = "{name}"')).model.name == name
    config = RunConfig.from_toml(write(tmp_path, '[model]\nname = "models/mine"\n[distill]\nmodel = "same"'))
    assert config.model.name == str(tmp_path / "models" / "mine")
    assert config.distill.model == "same"
    assert RunConfig.from_toml(write(tmp_path, '[model]\nname = "./gone"')).model.name == str(tmp_path / "gone")
    # Folders beside and around the bundled models are none of them.
    for name in (".", "../models", "./pet-mini"):
        assert RunConfig.from_mapping({"model": {"name": name}}).absolute().model.name == os.path.normpath(
            Path.cwd() / name
        )


def test_encoders_are_bundled_names_hub_ids_or_folders_too(tmp_path: Path) -> None:
    for name in ("mine", "none", "e5-small"):
        (tmp_path / name).mkdir()
    text = (
        "[encoder]\nname = '{0}'\n[[train.voters]]\nlearner = 'embedding'\nmodel = '{0}'\n[[train.voters]]\nsteps = 3"
    )
    for name, place in {"mine": str(tmp_path / "mine"), "none": "none", "e5-small": "e5-small", "a/b": "a/b"}.items():
        config = RunConfig.from_toml(write(tmp_path, text.format(name)))
        assert config.encoder.name == config.train.voters[0].model == place
        assert config.encoder.wanted is (name != "none")
        assert config.train.voters[1].model is None


def test_a_home_folder_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert absolute({"data": {"train": "~/t.csv"}}, Path("/x"))["data"]["train"] == str(tmp_path / "t.csv")


def test_a_link_keeps_its_name_so_that_a_stored_path_is_read_back_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    config = RunConfig.from_toml(write(tmp_path, '[distill]\nmodel = "link"'))
    assert config.distill.model == str(tmp_path / "link")
    (tmp_path / "run").mkdir()
    assert RunConfig.from_toml(write(tmp_path / "run", config.to_toml())) == config


def test_labels_are_written_as_the_readers_write_them(tmp_path: Path) -> None:
    config = RunConfig.from_toml(write(tmp_path, "[task]\nlabels = [true, false, 1, 2.0, 0.5, 'x']"))
    assert config.task.labels == ("true", "false", "1", "2", "0.5", "x")


def test_a_config_survives_its_own_toml_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tables = {
        "task": {"labels": ["no", "Sci/Tech"], "fields": {"text": 'a "quoted" column'}},
        "data": {"train": "t.csv", "unlabeled": "owner/name:train", "examples_per_label": 3},
        "prompts": {"patterns": ["topic/*"], "registry": ["mine"]},
        "encoder": {"name": "none"},
        "refine": {"method": "graph", "neighbours": 3},
        "train": {"learning_rate": 1e-7, "steps": 0, "voters": [{"learner": "embedding", "model": "./mine"}, {}]},
        "distill": {"model": "owner/other", "gold_rows": False},
        "ensemble": {"prior": {"no": 0.25, "Sci/Tech": 0.75}},
        "ipet": {"generations": "auto", "held_out": False},
    }
    config = RunConfig.from_mapping(tables).absolute()
    assert config.data.train == str(tmp_path / "t.csv")
    (tmp_path / "run").mkdir()
    path = write(tmp_path / "run", config.to_toml())
    monkeypatch.chdir("/")
    again = RunConfig.from_toml(path)
    assert again == config
    assert again.to_toml() == config.to_toml()
    assert again.absolute() == config


def test_every_setting_has_a_default_and_is_written(tmp_path: Path) -> None:
    text = RunConfig().to_toml()
    sections = {"task", "data", "prompts", "model", "encoder", "adapt", "train", "ensemble", "refine", "ipet"}
    sections |= {"distill", "run"}
    assert set(re.findall(r"^\[([a-z]+)\]", text, re.MULTILINE)) == sections
    assert RunConfig.from_toml(write(tmp_path, text)) == RunConfig() == RunConfig.from_toml(write(tmp_path, ""))


def test_settings_are_frozen_and_resolved_copies_leave_them_alone() -> None:
    config = RunConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.train.steps = 3
    with pytest.raises(ValidationError, match="frozen"):
        config.train = config.train
    assert config.train.resolved(7, 0.5).steps == 7
    assert config.train.steps is None
    assert RunConfig.from_mapping({"train": {"steps": 0}}).train.resolved(7, 0.5).steps == 0


def test_the_tables_handed_in_stay_as_they_are() -> None:
    tables = {"data": {"train": "t.csv"}, "prompts": {"patterns": ["a"]}}
    RunConfig.from_mapping(tables)
    absolute(tables, Path(os.sep))
    assert tables == {"data": {"train": "t.csv"}, "prompts": {"patterns": ["a"]}}


def test_other_settings_leave_the_rest_as_it_was_said_and_follow_from_a_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = RunConfig.from_mapping({"train": {"preset": "lora", "steps": 3}, "data": {"train": "/rows/t.csv"}})
    other = config.with_registries(["mine"]).with_settings({"train": {"preset": "bitfit"}, "data": {"test": "e.csv"}})
    assert (other.train.preset, other.train.steps, other.train.with_preset().weights) == ("bitfit", 3, "bitfit")
    assert (other.data.train, other.data.test) == ("/rows/t.csv", str(tmp_path / "e.csv"))
    assert other.prompts.registry == (str(tmp_path / "mine"),)
    assert config.train.preset == "lora"
    with pytest.raises(ConfigError, match=r"--axis: unknown key 'stepz' in \[train\]\. Did you mean steps"):
        config.with_settings({"train": {"stepz": 1}}, "--axis")


def test_descriptions_come_back_from_toml_as_they_were(tmp_path: Path) -> None:
    descriptions = {"Sci/Tech": 'chips, "smart" phones', "a.b": "x = y", "1": "one\nstar"}
    config = RunConfig.from_mapping({"task": {"labels": ["Sci/Tech", "a.b", 1], "descriptions": descriptions}})
    assert RunConfig.from_toml(write(tmp_path, config.to_toml())) == config
    assert RunConfig.from_mapping({"task": {"descriptions": {2: "one", True: "yes"}}}).task.descriptions == {
        "2": "one",
        "true": "yes",
    }


def test_a_ready_made_pipeline_is_known_by_its_name() -> None:
    assert RunConfig.from_toml("agnews", ["train.steps=7"]).train.steps == 7
    with pytest.raises(ConfigError, match="Did you mean agnews"):
        RunConfig.from_toml("agnwes")
    with pytest.raises(ConfigError, match="Expected the path or the name of a pipeline, found None"):
        RunConfig.from_toml(None)  # type: ignore[arg-type]


def test_labels_are_one_in_every_table_however_they_are_written() -> None:
    found = RunConfig.from_mapping(
        {
            "task": {"labels": [True, "caf\u00e9", 1.0], "descriptions": {"cafe\u0301": "coffee", "True": "it is"}},
            "ensemble": {"prior": {"true": 0.5, "cafe\u0301": 0.25, "1.0": 0.25}},
        }
    )
    assert found.task.labels == ("true", "caf\u00e9", "1")
    assert set(found.task.descriptions) == {"caf\u00e9", "true"}
    assert found.ensemble.prior == {"true": 0.5, "caf\u00e9": 0.25, "1": 0.25}
    with pytest.raises(ConfigError, match="two different labels"):
        RunConfig.from_mapping({"task": {"labels": ["1", "1.0"]}})

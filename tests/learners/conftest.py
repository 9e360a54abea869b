"""What the tests of this room share: tiny models of nine families, and rows about two topics to learn."""

import copy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES, save_tiny
from voters import settings_of, voter_of

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, load_tokenizer, quiet_transformers
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.students.base import ClassifierForm
from pet.learners.students.classifier import TextClassifier
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer

CPU = torch.device("cpu")
TOPICS = {"Sports": "team game match won coach goal score", "Tech": "phone chip code software robot data quick"}


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    quiet_transformers()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder per family."""
    return {family: save_tiny(family, tmp_path_factory.mktemp(family)) for family in FAMILIES}


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A folder of the family "bert" of its own, to break."""
    return Path(shutil.copytree(folders["bert"], tmp_path / "bert"))


@pytest.fixture(scope="session")
def backbones(folders: dict[str, Path]) -> dict[str, Backbone]:
    """One loaded masked language model per family; a test that trains one resets it."""
    return {name: Backbone.masked_lm(ModelSource(name, folder), CPU) for name, folder in folders.items()}


@pytest.fixture
def frozen(backbones: dict[str, Backbone]) -> Backbone:
    """The family "bert", to be trained or changed at will."""
    return replace(backbones["bert"], model=copy.deepcopy(backbones["bert"].model).requires_grad_(False))


@pytest.fixture(scope="session")
def pieces(folders: dict[str, Path]) -> dict[str, PieceTokenizer]:
    """One tokenizer per family."""
    return {name: PieceTokenizer(load_tokenizer(folder)) for name, folder in folders.items()}


@pytest.fixture(scope="session")
def machine() -> Machine:
    return Machine(CPU, "fp32")


@pytest.fixture(scope="session")
def new_classifier(folders: dict[str, Path], machine: Machine) -> Callable[..., TextClassifier]:
    """Build an untrained classifier of a family that reads the given fields."""

    def build(family: str, *fields: str, max_length: int = 64, seed: int = 0) -> TextClassifier:
        form = ClassifierForm(("Sports", "Tech"), {field: field.upper() for field in fields or ("text",)}, max_length)
        return TextClassifier.from_source(ModelSource(family, folders[family]), form, machine, seed)

    return build


@pytest.fixture(scope="session")
def rows() -> list[Example]:
    """32 labeled rows of 3 to 12 words, the topics in turn."""
    rng = np.random.default_rng(0)
    labels = list(TOPICS)
    return [
        Example(str(i), {"text": " ".join(rng.choice(TOPICS[labels[i % 2]].split(), 3 + i % 10))}, labels[i % 2])
        for i in range(32)
    ]


@pytest.fixture(scope="session")
def few(rows: list[Example]) -> list[Example]:
    return rows[:5]  # 3 to 7 words


@pytest.fixture(scope="session")
def pvp() -> PVP:
    words = Verbalizer("toy/words", {"Sports": ("sports",), "Tech": ("tech", "phone")})
    return PVP(Pattern("toy/about", "It was {mask}. {text}"), words)


@pytest.fixture
def trained(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example]
) -> Iterator[Callable[..., Any]]:
    """Train a `PvpVoter` of a preset on a tiny model, which is reset afterwards; its `log`, no field, says how."""
    used = set()

    def train(preset: str = "pet", seed: int = 0, family: str = "bert", **values: Any) -> Any:
        settings = settings_of(preset, **values)
        used.add(family)
        voter: Any = voter_of(backbones[family], pvp, machine, settings)
        voter.log = voter.train(rows, settings, np.random.default_rng(seed), rows)
        return voter

    yield train
    for family in used:
        backbones[family].reset()


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let an output head read these logits, features or states instead of a model's."""

    def give(**values: torch.Tensor) -> None:
        for name, value in values.items():
            monkeypatch.setattr(f"pet.learners.voters.outputs.{name}", lambda *_, value=value: value)

    return give


@pytest.fixture
def refuses(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Check that a call raises this error, with a message of one line that holds all these words."""

    def check(error: type[Exception], call: Callable[[], object], *words: str) -> None:
        with pytest.raises(error) as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message

    return check

"""The files of a trained voter: what trained, and no more, beside a description of the voter.

FOLDER/voter.json          the pattern, the words, the settings, and which backbone it belongs to
voter.safetensors   the trained tensors
model.safetensors   only where all weights trained: the whole model, as a stock folder
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pet.errors import ModelError
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import ModelSettings, MultiToken
from pet.settings.variants import VariantSettings

_ABOUT, _TENSORS = "voter.json", "voter.safetensors"


@dataclass(frozen=True)
class SavedVoter:
    """What describes a voter; `backbone` is the name of its model, `digest` that of the model's files."""

    backbone: str
    digest: str
    pvp: PVP
    model: ModelSettings
    multi_token: MultiToken
    variant: VariantSettings

    def write(self, folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write the description and what trained, in a folder that exists."""
        pattern, verbalizer = self.pvp.pattern, self.pvp.verbalizer
        about = {
            "backbone": {"name": self.backbone, "digest": self.digest},
            "pattern": {"name": pattern.name, "template": pattern.template},
            "verbalizer": {"name": verbalizer.name, "words": list(verbalizer.words.items())},
            "model": self.model.model_dump(mode="json", exclude={"name", "revision"}),
            "multi_token": self.multi_token,
            "variant": self.variant.model_dump(
                mode="json", exclude_none=True, include=set(VariantSettings.model_fields)
            ),
        }
        save_file({name: value.detach().contiguous() for name, value in tensors.items()}, folder / _TENSORS)
        (folder / _ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> tuple["SavedVoter", dict[str, torch.Tensor]]:
        """Return what `write` was given; a ModelError says that a file is missing or damaged."""
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            words = {label: tuple(of_label) for label, of_label in about["verbalizer"]["words"]}
            pvp = PVP(Pattern(**about["pattern"]), Verbalizer(about["verbalizer"]["name"], words))
            backbone, model = about["backbone"], ModelSettings.model_validate(about["model"])
            variant = VariantSettings.model_validate(about["variant"])
            saved = cls(backbone["name"], backbone["digest"], pvp, model, about["multi_token"], variant)
            return saved, load_file(folder / _TENSORS)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            raise ModelError(
                f"{folder} holds no saved voter ({_ABOUT} or {_TENSORS} is missing or damaged): give its folder."
            ) from None

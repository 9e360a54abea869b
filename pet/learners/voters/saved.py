"""Trained voters on disk: what trained, and no more, beside a description of the voter.

FOLDER/voter.json          the pattern, the words, the settings, and which backbone it belongs to
voter.safetensors   the trained tensors
model.safetensors   only where all weights trained: the whole model, as a stock folder
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.delta import copy_into
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, model_digest
from pet.learners.voters.parts import Parts
from pet.learners.voters.pvp import Voter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import ModelSettings
from pet.settings.variants import VariantSettings

__all__ = ["load_voter", "save_voter"]

_ABOUT, _TENSORS = "voter.json", "voter.safetensors"


def save_voter(voter: Voter, folder: Path, *, folded: bool = False) -> None:
    """Write a trained voter; `folded` leaves its prompt encoder out and keeps the vectors that it makes.

    Folded, it scores the same; training on goes on with the vectors alone.

    Raises
    ------
    ModelError
        If it was not trained.
    """
    if voter.parts is None:
        raise ModelError(f"The voter {voter.pvp.name!r} was not trained: there is nothing to save.")
    parts = voter.parts.folded() if folded else voter.parts
    folder.mkdir(parents=True, exist_ok=True)
    tensors = parts.tensors()  # puts the parts on, so that the model holds what it is saved with
    if whole := voter.variant.weights == "full":
        voter.backbone.save(folder)
    kept = {
        name: value.detach().contiguous()
        for name, value in tensors.items()
        if not (whole and name.startswith("weights."))
    }
    save_file(kept, folder / _TENSORS)
    about = _description(voter, folded)
    (folder / _ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False), encoding="utf-8")


def load_voter(folder: Path, backbone: Backbone, machine: Machine) -> Voter:
    """Return a saved voter on its backbone; one that trained all weights brings its own, and can train on.

    Raises
    ------
    ModelError
        If the folder holds no voter, or one of another backbone.
    """
    about, variant, tensors = _read(folder)
    whole, base = variant.weights == "full", backbone.source
    digest = model_digest(base.folder)
    if digest != about["backbone"]["digest"]:
        raise ModelError(
            f"{folder} is a voter on {about['backbone']['name']}, found {backbone.source.name} with other weights: "
            "load the model that it was trained on."
        )
    if whole:
        backbone = Backbone.masked_lm(ModelSource(str(folder), folder), machine.device)
    words = Verbalizer(about["verbalizer"]["name"], {name: tuple(w) for name, w in about["verbalizer"]["words"]})
    pvp = PVP(Pattern.parse(about["pattern"]["name"], about["pattern"]["template"]), words)
    settings = ModelSettings.model_validate(about["model"])
    voter = Voter(backbone, pvp, settings, machine, about["multi_token"], variant)
    voter.base = base
    voter.parts = _restored(voter, tensors)
    return voter


def _restored(voter: Voter, saved: dict[str, torch.Tensor]) -> Parts:
    parts = voter.new_parts()
    whole = voter.variant.weights == "full"  # the backbone was loaded with them
    own = {name: value for name, value in parts.tensors().items() if not (whole and name.startswith("weights."))}
    copy_into(own, saved)
    return parts


def _description(voter: Voter, folded: bool) -> dict[str, Any]:
    unfolded = voter.variant.model_dump(mode="json", exclude_none=True, include=set(VariantSettings.model_fields))
    words = voter.pvp.verbalizer.words
    return {
        "backbone": {"name": voter.base.name, "digest": model_digest(voter.base.folder)},
        "pattern": {"name": voter.pvp.pattern.name, "template": voter.pvp.pattern.template},
        "verbalizer": {
            "name": voter.pvp.verbalizer.name,
            "words": [[label, list(of_label)] for label, of_label in words.items()],
        },
        "model": voter.settings.model_dump(mode="json", exclude={"name", "revision"}),
        "multi_token": voter.multi_token,
        "variant": unfolded | ({"prompt_encoder": "none", "prefix_encoder": "none"} if folded else {}),
    }


def _read(folder: Path) -> tuple[Any, VariantSettings, dict[str, torch.Tensor]]:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        about["backbone"]["digest"], about["pattern"]["template"], about["verbalizer"]["words"]
        return about, VariantSettings.model_validate(about["variant"]), load_file(folder / _TENSORS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        raise ModelError(
            f"{folder} holds no saved voter ({_ABOUT} or {_TENSORS} is missing or damaged): give its folder."
        ) from None

"""LoRA and the other weight deltas of the peft library, attached to a shared model and detached."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pet.errors import ModelError, near_matches
from pet.learners.models.delta import Delta, drawn_from
from pet.learners.models.families import FAMILIES
from pet.learners.models.sources import first_line

_ADAPTER = "default"  # peft's name for a model's only adapter; it stands in the names of its weights
_PRESETS = {"PROMPT_TUNING": "prompt-tuning", "P_TUNING": "p-tuning", "PREFIX_TUNING": "prefix-tuning"}
# These want more than a model: other trained adapters, task numbers, or an architecture of their own.
_NEEDS_MORE = frozenset({"ADAPTION_PROMPT", "POLY", "SHADOW", "XLORA"})


class PeftDelta(Delta):
    """Layers of peft in the place of some of the model's layers: the frozen one and the small new weights in one.

    `config` is the rank of LoRA (2106.09685, alpha = 2 * rank, on the query and value projections, in families that
    are not known on every linear layer but the decoder) or a configuration of peft, such as ``{"peft_type": "IA3"}``,
    ``{"peft_type": "LORA", "r": 8, "use_dora": True}``. New weights are drawn from `seed`. The new layers are made
    once; `attach` and `detach` exchange them and the model's own, so that no weight is ever copied back.

    AdaLoRA (2303.10512) divides its ranks in `updated`; its penalty on the loss for matrices that are not orthogonal
    is left out.

    Raises `ModelError` if peft has no such configuration, it is prompt learning, it trains or changes the model's
    own weights, or it does not fit the model.
    """

    _tuner: Any

    def __init__(self, model: Any, config: Mapping[str, Any] | int, seed: int) -> None:
        super().__init__(model)
        settings = {"peft_type": "LORA", "r": config, "lora_alpha": 2 * config} if isinstance(config, int) else config
        self._config = _config_of(settings, model.config.model_type)
        self._kind = str(self._config.peft_type.value)
        before = dict(model.named_modules())
        own = {id(weight) for weight in model.parameters()}
        try:
            with _unchanged(model, self._kind), drawn_from(seed, model.device):
                object.__setattr__(self, "_tuner", self._injected())
            # In a dictionary, and so no submodules: they hold the model's own weights.
            self._layers = _replaced(before, model)
            trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        finally:
            for name in _replaced(before, model):
                model.set_submodule(name, before[name])
            vars(model).pop("peft_config", None)
            super().detach()
        self._own_layers = {name: before[name] for name in self._layers}
        self._tensors = {name.replace(f".{_ADAPTER}", ""): weight for name, weight in trained.items()}
        if not trained or any(id(weight) in own for weight in trained.values()):
            raise ModelError(
                f"{self._kind} with these settings trains {next(iter(trained), 'nothing')!r}, expected new weights "
                'alone: leave out bias and inference_mode (weights = "bitfit" trains biases).'
            )

    def _injected(self) -> Any:
        from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

        # Not get_peft_model: what it puts around a model stands in the way of hooks, and is not needed for training.
        try:
            return PEFT_TYPE_TO_TUNER_MAPPING[self._config.peft_type](self.model, self._config, adapter_name=_ADAPTER)
        except Exception as error:
            raise ModelError(
                f"peft cannot put {self._kind} on this {self.model.config.model_type!r} model ({first_line(error)}): "
                "change its settings, for instance target_modules."
            ) from None

    def attach(self) -> None:
        """Freeze the model and put the new layers in."""
        super().attach()
        for name, layer in self._layers.items():
            layer.train(self.model.training)  # it has missed what the model was told meanwhile
            self.model.set_submodule(name, layer)

    def detach(self) -> None:
        """Put the model's own layers back and unfreeze them."""
        for name, layer in self._own_layers.items():
            self.model.set_submodule(name, layer)
        super().detach()

    def tensors(self) -> dict[str, nn.Parameter]:
        """Return the new weights by peft's names for them in a saved file; valid also while detached."""
        return dict(self._tensors)

    def updated(self, step: int) -> None:
        """Let AdaLoRA divide its ranks anew; nothing is to do for others."""
        if hasattr(self._tuner, "update_and_allocate"):
            self._tuner.update_and_allocate(step)


def _config_of(settings: Mapping[str, Any], model_type: str) -> Any:
    """Return a checked configuration of peft."""
    import peft  # here, since it takes half a second
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    kinds = {str(kind.value): known for kind, known in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    prompts = {kind for kind, known in kinds.items() if issubclass(known, peft.PromptLearningConfig)}
    kind = str(settings.get("peft_type", "")).upper()
    if kind == "LILY":
        raise ModelError(
            "peft_type 'LILY' routes each batch by the mean over its rows and their padding, so that a row's scores "
            'would depend on the rows beside it: choose another, or weights = "lora".'
        )
    if kind in prompts:
        presets = ", ".join(f'"{name}"' for name in ([_PRESETS[kind]] if kind in _PRESETS else _PRESETS.values()))
        raise ModelError(f"peft_type {kind!r} is prompt learning, expected a weight delta: take preset = {presets}.")
    usable = sorted(kinds.keys() - prompts - _NEEDS_MORE - {"LILY"})
    if kind not in usable:
        raise ModelError(
            f"peft_type is {settings.get('peft_type')!r}, expected a weight delta of peft that needs nothing but the "
            f"model.{near_matches(kind, usable)}"
        )
    keys = [field.name for field in dataclasses.fields(kinds[kind]) if field.init]
    if unknown := [key for key in settings if key not in keys]:
        raise ModelError(f"{kind} has no setting {unknown[0]!r}.{near_matches(unknown[0], keys)}")
    values = {**copy.deepcopy(dict(settings)), "peft_type": kind, "task_type": None}
    if kind in ("LORA", "ADALORA") and not values.get("target_modules") and not values.get("target_parameters"):
        family = FAMILIES.get(model_type)
        values["target_modules"] = sorted({family.query, family.value}) if family else "all-linear"
    try:
        return peft.get_peft_config(values)
    except Exception as error:
        raise ModelError(f"peft refuses these settings of {kind}: {first_line(error)}") from None


def _replaced(before: Mapping[str, nn.Module], model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules now in the place of others, by name, without what is inside them."""
    after = dict(model.named_modules())
    names = [name for name, module in before.items() if after.get(name) is not module]
    parents = {name: name.rpartition(".")[0] for name in names}
    return {name: after[name] for name, parent in parents.items() if after.get(parent) is before[parent]}


@contextmanager
def _unchanged(model: nn.Module, kind: str) -> Iterator[None]:
    """Refuse what changes weights of the model inside, and bring them back."""
    start = [(weight, weight.detach().clone()) for weight in model.parameters()]
    try:
        yield
    finally:
        changed = [(weight, value) for weight, value in start if not torch.equal(weight, value)]
        with torch.no_grad():
            for weight, value in changed:
                weight.copy_(value)
    if changed:
        raise ModelError(
            f"{kind} with these settings changes the model's own weights, which other voters share: start it another "
            "way, for instance init_lora_weights = true."
        )

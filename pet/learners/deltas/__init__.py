"""Ways to train the weights of a backbone that many voters share: all of them, some, or small new ones beside them."""

from pet.learners.deltas.adapters import Adapter
from pet.learners.deltas.base import Delta, copy_into
from pet.learners.deltas.peft_deltas import PeftDelta
from pet.learners.deltas.prefix import Prefix
from pet.learners.deltas.selected import Selected
from pet.learners.deltas.unipelt import UniPELT

__all__ = ["Adapter", "Delta", "PeftDelta", "Prefix", "Selected", "UniPELT", "copy_into"]

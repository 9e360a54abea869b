"""Prompts: a pattern turns a row into a cloze question, a verbalizer turns the answer word into a label.

    TOML files ──► Registry[Pattern], Registry[Verbalizer] ──► PVP ──► render(example) ──► parts

Nothing here knows a tokenizer or a model: `Pattern.render` says exactly what text stands where, what may be
shortened and where a space belongs, and the learners splice token ids from that.
"""

from pet.prompts.filters import FILTERS, Filter
from pet.prompts.inputs import with_input
from pet.prompts.patterns import Part, Pattern
from pet.prompts.pvp import PVP
from pet.prompts.registry import Registry, load_patterns, load_verbalizers
from pet.prompts.templates import RESERVED, Break, Field, Literal, Mask, Segment, Soft, Tune
from pet.prompts.verbalizers import Verbalizer

__all__ = [
    "FILTERS",
    "PVP",
    "RESERVED",
    "Break",
    "Field",
    "Filter",
    "Literal",
    "Mask",
    "Part",
    "Pattern",
    "Registry",
    "Segment",
    "Soft",
    "Tune",
    "Verbalizer",
    "load_patterns",
    "load_verbalizers",
    "with_input",
]

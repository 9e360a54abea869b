"""How voters and classifiers are trained."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from pet.settings.base import (
    AutoOrNot,
    PositiveFloat,
    PositiveInt,
    Section,
    Share,
    Texts,
    accumulation_divides,
    expecting,
)
from pet.settings.task import ModelName
from pet.settings.variants import PRESETS, VariantSettings

Steps = Annotated[int, Field(ge=0)]
StudentSize = Literal["auto", "same", "small", "static", "logistic"]
Learner = Literal["pvp", "in-context", "embedding", "contrastive"]

FAST = "fast"
"""The preset of a run without patterns."""

_check_fast_or_preset = expecting(f"one of {', '.join(PRESETS)}, or {FAST}", [*PRESETS, FAST].__contains__)
_check_name = expecting("letters, digits, '.', '_' and '-'", re.compile(r"[\w.-]*").fullmatch)


class OptimizerSettings(Section):
    """What every training shares. `steps` are optimizer updates; None is derived from the model's size."""

    steps: Steps | None = None
    """Optimizer updates, the most where training ends by itself; unset: it follows from the model's size."""
    batch_size: PositiveInt = 16
    """Rows per update."""
    accumulation: PositiveInt = 1
    """The parts in which a batch is computed: more of them take less memory."""
    learning_rate: PositiveFloat | None = None
    """Of the weights; unset: it follows from the model and the variant."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    """The weight decay of AdamW."""
    warmup: Share = 0.1
    """The part of the steps over which the learning rate rises."""
    max_grad_norm: PositiveFloat = 1.0
    """The largest norm of a gradient, which is scaled down to it."""
    gradient_checkpointing: bool = False
    """Whether activations are computed twice: less memory, more time."""

    _divided = model_validator(mode="after")(accumulation_divides)

    def resolved(self, steps: int, learning_rate: float) -> Self:
        """Return these settings with the given values where none is set."""
        return self.model_copy(
            update={
                "steps": steps if self.steps is None else self.steps,
                "learning_rate": self.learning_rate or learning_rate,
            }
        )


class VoterSettings(VariantSettings):
    """`[[train.voters]]`: some of an ensemble's voters, their patterns and what of them trains.

    What a table leaves out is as in `[train]`; but one with a preset of its own takes neither the parts of another
    preset from there nor its learning rates. `name` tells tables of one preset apart.

    A table whose `learner` is "in-context" has voters that nothing of trains: as many labeled rows as fit, as many of
    each label, stand with each row, and the scores are the mean over several orders of them (2005.14165), less those of
    texts that say nothing (2102.09690). One that is "embedding" or "contrastive" is one voter on the vectors of an
    encoder (`model`; default: that of `[encoder]`), and has no other setting.
    """

    name: Annotated[str, AfterValidator(_check_name)] = ""
    """Tells tables of one preset apart."""
    learner: Learner = "pvp"
    """A voter that reads patterns, one that is shown labeled rows and not trained, or one on an encoder's vectors."""
    model: ModelName | None = None
    """The encoder of a voter on vectors; unset: that of `[encoder]`."""
    patterns: Texts = ()
    """The patterns of these voters; empty: all."""
    steps: Steps | None = None
    """As in `[train]`."""
    learning_rate: PositiveFloat | None = None
    """As in `[train]`."""
    auxiliary_mlm: Share = 0.0
    """As in `[train]`."""
    gradient_checkpointing: bool = False
    """As in `[train]`."""

    @property
    def has_pattern(self) -> bool:
        """Whether these voters read rows with a pattern."""
        return self.learner in ("pvp", "in-context")

    @model_validator(mode="after")
    def _fits_its_learner(self) -> Self:
        if self.has_pattern and self.model is not None:
            raise ValueError(
                'model is that of learner = "embedding" or "contrastive"; all patterns are read with [model] name'
            )
        known = {"learner", "name", "patterns" if self.has_pattern else "model"}
        if self.learner != "pvp" and (unread := self.model_fields_set - known):
            raise ValueError(f'learner = "{self.learner}" has no {min(unread)}: leave it out')
        return self

    @model_serializer(mode="wrap")
    def _only_what_is_said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not set, so that a table read back inherits as much."""
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


class TrainSettings(OptimizerSettings, VariantSettings):
    """`[train]`: how one voter (a pattern with a seed) is trained, and what of it; `voters` mix variants.

    Beside the patterns an `embedding` voter votes, and in its place a `contrastive` one ("auto": with 3 labels and 8
    labeled rows of each, or with 20 labels), unless there are tables of `voters`, which name all there are.
    `descriptions` weighs the loss on rows that are made of the descriptions of the labels, beside that on labeled rows.
    `steps` are the most: training ends once the mean loss of a pass over the rows is below `stop_loss` (0: never).
    With the `preset` "fast" no pattern votes, and the classifier is fitted in seconds.
    """

    preset: Annotated[str, BeforeValidator(_check_fast_or_preset)] = "pet"
    """What of a voter trains, by name; "fast": no patterns at all."""
    seeds: PositiveInt = 1
    """Voters per pattern."""
    embedding: bool = True
    """Whether a voter on the encoder's vectors votes."""
    contrastive: AutoOrNot = "auto"
    """Whether one on the vectors of a tuned copy of the encoder votes in its place."""
    auxiliary_mlm: Share = 0.0
    """The weight alpha of the loss on masked words, beside 1 - alpha (2001.07676, section 3.1); 0: none."""
    descriptions: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """The weight of the loss on rows made of the labels' descriptions; 0: none."""
    stop_loss: Annotated[float, Field(ge=0.0)] = 0.1
    """Training ends once the mean loss of a pass over the rows is below it; 0: never."""
    voters: tuple[VoterSettings, ...] = ()
    """Tables `[[train.voters]]`, which mix variants."""

    @property
    def is_fast(self) -> bool:
        """Whether the voters on vectors alone vote."""
        return self.preset == FAST

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        parts = self.with_preset()
        if (self.peft is not None) != (parts.weights == "peft"):
            raise ValueError(
                'weights = "peft" and a table peft belong together, such as peft = {peft_type = "IA3"}, found one'
            )
        if parts.loss == "adapet" and parts.output != "words":
            raise ValueError(f'loss = "adapet" is about words, expected output = "words", found "{parts.output}"')
        if parts.weights == "head" and parts.output == "cls":
            raise ValueError(
                'weights = "head" is the head before the vocabulary, which output = "cls" does not read: set other '
                'weights, such as "none" for the linear head alone'
            )
        if parts.weights == "unipelt" and parts.prefix_encoder == "mlp":
            raise ValueError('weights = "unipelt" has a plain prefix, expected prefix_encoder = "none", found "mlp"')
        if self.gradient_checkpointing and parts.weights in ("adapter", "prefix", "unipelt"):
            # Their parts are in the model only while it goes forward, and would be missing when it does so again.
            raise ValueError(
                f'gradient_checkpointing does not go with weights = "{parts.weights}": leave one of them out (a table '
                "of voters may set it to false)"
            )
        if parts.loss == "adapet" and self.auxiliary_mlm:
            raise ValueError(
                f'expected auxiliary_mlm = 0 with loss = "adapet", found {self.auxiliary_mlm:g}: set it to 0, a table '
                "of voters may do so for itself"
            )
        return self

    @model_validator(mode="after")
    def _tables_fit(self) -> Self:
        for i, table in enumerate(self.voters):
            try:
                self.of(table)
            except ValidationError as error:
                reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
                raise ValueError(f"voters.{i}, with what it takes from [train]: {reason}") from None
        return self

    def of(self, voters: VoterSettings) -> Self:
        """Return the settings of the voters of one table."""
        said = voters.model_dump(exclude={"name", "patterns", "learner", "model"})
        dropped = {"voters"}
        if "preset" in said:
            dropped |= {*PRESETS["pet"], "learning_rate", "prompt_learning_rate", "peft"}
        if said.get("weights", "peft") != "peft":
            dropped |= {"peft"}
        return type(self).model_validate({**self.model_dump(exclude=dropped), **said})


class DistillSettings(OptimizerSettings):
    """`[distill]`: the final classifier. `model` is what it starts from.

    "same" is the voters' model; "auto" the run's encoder, as it is or tuned by a voter, whichever learns the labels
    better; without one the voters' model.

    `size` is how much of it: all, fine-tuned ("same"), half of its layers ("small"), its word embeddings alone
    ("static"), or all, with only its last layer trained ("logistic"). "auto" keeps what agrees best with the ensemble
    on rows held out. `steps` are then the most: training ends once nothing is gained.
    """

    model: ModelName = "auto"
    """What the classifier starts from."""
    size: StudentSize = "auto"
    """How much of it is the classifier, and what of it trains."""
    temperature: PositiveFloat = 2.0
    """By which the soft labels are softened, as in the paper."""
    gold_rows: bool = True
    """Whether the labeled rows are learned too."""

import pytest

from pet.learners.models.schedules import default_schedule, scheduled_student, scheduled_voter
from pet.settings.training import DistillSettings, StudentSize, TrainSettings
from pet.settings.variants import PromptEncoderKind, Weights

SMALL, BASE = 10_000_000, 110_000_000
SIZES: tuple[StudentSize, ...] = ("same", "small", "static")


def test_default_schedule() -> None:
    assert [default_schedule(SMALL, voter).steps for voter in (True, False)] == [60, 300]
    assert [default_schedule(BASE, voter).steps for voter in (True, False)] == [250, 1000]
    assert default_schedule(SMALL, True).learning_rate == 1e-4
    assert default_schedule(BASE, False).learning_rate == 1e-5


def test_a_voter_has_no_gaps() -> None:
    found = scheduled_voter(TrainSettings(), SMALL)
    assert (found.weights, found.input, found.output, found.loss) == ("full", "hard", "words", "pet")
    assert (found.steps, found.learning_rate) == (60, 1e-4)


@pytest.mark.parametrize("parameters", [SMALL, BASE])
def test_fewer_tensors_take_larger_steps(parameters: int) -> None:
    full = scheduled_voter(TrainSettings(), parameters)
    less: tuple[Weights, ...] = ("bitfit", "adapter", "lora", "prefix", "unipelt", "head", "layernorm")
    for weights in less:
        some = scheduled_voter(TrainSettings(weights=weights), parameters)
        assert some.learning_rate and full.learning_rate and some.learning_rate > full.learning_rate
        assert some.steps and full.steps and some.steps > full.steps


def test_what_is_said_stays() -> None:
    found = scheduled_voter(
        TrainSettings(preset="p-tuning", steps=7, learning_rate=0.5, prompt_learning_rate=0.0, input="hard"), SMALL
    )
    assert (found.steps, found.learning_rate, found.prompt_learning_rate) == (7, 0.5, 0.0)
    assert (found.input, found.prompt_encoder, found.weights) == ("hard", "mlp", "none")


def test_an_encoder_takes_smaller_steps_than_vectors() -> None:
    kinds: tuple[PromptEncoderKind, ...] = ("none", "mlp", "lstm")
    trains = [TrainSettings(weights="none", prompt_encoder=kind) for kind in kinds]
    vectors, mlp, lstm = (scheduled_voter(train, SMALL).prompt_learning_rate for train in trains)
    assert vectors and mlp and vectors > mlp == lstm


@pytest.mark.parametrize("parameters", [SMALL, BASE])
def test_a_smaller_student_takes_larger_steps(parameters: int) -> None:
    same, small, static = (scheduled_student(DistillSettings(size=size), parameters) for size in SIZES)
    usual = default_schedule(parameters, voter=False)
    assert (same.steps, same.learning_rate) == (usual.steps, usual.learning_rate)
    assert (small.steps, small.learning_rate) == (usual.steps, 2 * usual.learning_rate)
    assert (static.steps, static.learning_rate) == (1000, 3e-3)
    said = DistillSettings(size="static", steps=7, learning_rate=0.5)
    assert scheduled_student(said, parameters) == said

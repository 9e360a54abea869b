"""What a person hears of the generations of a run: how they went, and where their sets are not what was wanted."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pet.labeling.guards import one_sided
from pet.learners.voters.spec import VoterSpec
from pet.method.inputs import TrainingSet
from pet.method.stages import Workbench

if TYPE_CHECKING:
    from pet.method.generations import Generation

__all__ = ["tell_of_generation", "tell_of_lost_weights", "tell_of_sets"]

Teller = Callable[[str], None]


def tell_of_sets(number: int, sets: Sequence[TrainingSet], labels: Sequence[str], say: Teller, warn: Teller) -> None:
    """Tell of which labels the sets of a generation have other rows than wanted, or less than half of them."""
    filled, missing, capped = Counter[int](), Counter[int](), Counter[int]()
    for training in sets:
        if training.drawn:
            filled |= Counter(training.drawn.filled)
            missing |= Counter(training.drawn.missing)
            got = Counter(training.drawn.columns.tolist())
            capped |= Counter({k: count for k, count in training.drawn.capped.items() if count > got[k]})
    for k, count in sorted(filled.items()):
        warn(
            f"generation {number}: too few rows are labeled {labels[k]!r}: up to {count} that score highest for it are "
            "taken"
        )
    for k, count in sorted(capped.items()):
        say(
            f"generation {number}: up to {count} rows of {labels[k]!r} fewer than wanted are drawn: few rows have that "
            "label (ipet.ratio, ipet.cap)"
        )
    for k, count in sorted(missing.items()):
        warn(f"generation {number}: up to {count} rows of {labels[k]!r} are missing: the pool has no more")


def tell_of_generation(generation: "Generation", prior: np.ndarray, say: Teller, warn: Teller) -> None:
    """Tell how a generation went, and what is wrong with it against the prior [k]."""
    figures, number = generation.figures, generation.number
    facts = [f"voters agree {figures.agreement:.1%}", f"KL from the prior {figures.kl:.2f}"]
    if figures.changed is not None:
        facts.append(f"{figures.changed:.1%} of the labels changed")
    if figures.held_out:
        facts.append(f"gold rows held out {figures.held_out.accuracy:.1%}")
    sizes = sorted({len(training) for training in generation.sets})
    rows = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    say(f"generation {number}: trained on {rows} rows, {', '.join(facts)}")
    uneven = one_sided(figures, prior)
    if generation.rejected:
        warn(
            f"generation {number} is rejected: {generation.rejected}; the run goes on from generation "
            f"{generation.continues} (--accept-all keeps it)"
        )
    elif uneven and number == 0:
        warn(f"generation 0 may be no start for others: {uneven}")
    if uneven and (generation.rejected or number == 0):
        warn("if the rows to label are like that, name their ratio in [ensemble] prior")


def tell_of_lost_weights(generation: "Generation", bench: Workbench, voters: Sequence[VoterSpec], warn: Teller) -> None:
    """Tell how many voters of a generation were trained by a run that did not keep weights, where this one does."""
    trained = [(spec, training) for spec, training in zip(voters, generation.sets, strict=True) if len(training)]
    jobs = [bench.voter_job(*one, generation.rows, generation.number) for one in trained]
    lost = sum(not (bench.store.path(job) / "model").is_dir() for job in jobs)
    if bench.inputs.keep_models and lost:
        warn(
            f"generation {generation.number}: {lost} voters were finished before weights were kept, and theirs are "
            "gone: use another --output-dir with --keep-models"
        )

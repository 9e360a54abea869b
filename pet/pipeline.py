"""The method, top to bottom: generations of voters, the ensemble's soft labels, the distilled classifier.

Pattern-Exploiting Training (Schick and Schütze, 2001.07676): one masked language model per pattern-verbalizer pair is
trained on the labeled rows; their weighted ensemble labels the pool; iPET draws larger training sets from these labels,
generation by generation; a stock classifier learns from the last soft labels.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pet.errors import ConfigError, PromptError
from pet.learners.voters.spec import distinct_pvps
from pet.method.adapt import adapted
from pet.method.callbacks import Callback, RunEnd
from pet.method.compare import compare, quality_line
from pet.method.curve import THOROUGH, Curve, run_curve
from pet.method.draw import first_sets, next_training_sets, rows_to_label
from pet.method.ensemble import calibrate, weigh
from pet.method.generation import Ensemble, Generation, TrainingSet, accepted
from pet.method.handing import Handing
from pet.method.jobs import Jobs
from pet.method.judge import judge
from pet.method.listening import listening
from pet.method.place import RunPlace, RunResult
from pet.method.plan.opening import open_jobs, open_place, reopen_place
from pet.method.plan.plan import Plan, prepare
from pet.method.plan.several import open_several, prepare_several
from pet.method.prompted import kept_if_sound, prompted
from pet.method.refine import refine
from pet.method.several.place import SetResult
from pet.method.several.vote import asked_pattern, embedding_sets
from pet.method.several.weigh import weigh_sets
from pet.method.teach import teach
from pet.method.vote import vote
from pet.reports.html.write import draw_report
from pet.settings.config import RunConfig, checked_config


def run(
    config: RunConfig,
    output_dir: str | Path | None = None,
    *,
    force: bool = False,
    quiet: bool = False,
    shared: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> RunResult:
    """Label the pool, distill a classifier, and compare it with what else could have been done.

    The run lies in `output_dir` (default: ``runs/<task name>``). One that was interrupted goes on where it stopped.
    `force` deletes the results of another run there, and labels that were corrected by hand. `shared` is a folder in
    which runs leave finished jobs for each other, so that what they have in common is done once. `callbacks` hear of
    voters, generations and the end; one that raises is reported, and the run goes on without it.

    Raises `PetError` if an input is wrong, the directory holds another run, or the work fails.
    """
    # All that is named is read, checked and tried; from here on nothing of it changes.
    opened = open_place(prepare(config), output_dir, force=force, quiet=quiet, shared=shared)
    with opened as place, listening(place, callbacks) as place:
        place = begin(place.plan, place)
        generations = label_pool(place.plan, place)
        place.tell_of_labels(accepted(generations)[-1])
        rows = place.labeled_rows()
        student = teach(rows, place.distill, place.jobs, place.tuned)
        summary = compare(place.plan.baselines, generations, student.says, place.jobs)
        result = place.publish(generations, student, rows, summary)
        draw_report(place.directory.root, place.log)
        place.jobs.callbacks.end(RunEnd(result.directory, summary))
        return result


def run_several(
    config: RunConfig, output_dir: str | Path | None = None, *, force: bool = False, quiet: bool = False
) -> SetResult:
    """Do what `run` does where rows have several labels each, by one generation of voters: ``multi_label = true``.

    Raises `PetError` as `run` does, or if the rows of the pipeline have one label each.
    """
    if not checked_config(config).task.multi_label:
        raise ConfigError("The rows of this pipeline have one label each: use `run`, or set [task] multi_label = true.")
    plan = prepare_several(config)
    with open_several(plan, output_dir, force=force, quiet=quiet) as place:
        votes = [asked_pattern(place.jobs, spec, i, plan.words, plan.gold) for i, spec in enumerate(plan.patterns)]
        votes += [embedding_sets(place.jobs, plan.embedding, plan.gold)] if plan.embedding else []
        ensemble = weigh_sets(votes, plan.data)
        rows = place.write_labels(ensemble)
        return place.publish(ensemble, place.taught(rows, ensemble), rows)


def label(
    config: RunConfig,
    output_dir: str | Path | None = None,
    *,
    force: bool = False,
    quiet: bool = False,
    callbacks: Sequence[Callback] = (),
) -> RunResult:
    """Label the pool and stop at `pseudo_labels.parquet`; `run` on the same directory goes on from there."""
    opened = open_place(prepare(config), output_dir, force=force, quiet=quiet, whole=False)
    with opened as place, listening(place, callbacks) as place:
        place = begin(place.plan, place)
        last = accepted(label_pool(place.plan, place))[-1]
        place.tell_of_labels(last)
        place.log.say(quality_line(last.ensemble, place.plan.data))
        result = place.labeled(last.soft)
        place.jobs.callbacks.end(RunEnd(result.directory))
        return result


def begin(plan: Plan, place: RunPlace) -> RunPlace:
    """Write the labels that take seconds, and let the model read the pool as `[adapt]` says, once for all that follows.

    For "pcp" generation 0 votes, fills the patterns that the model then reads, and votes anew.
    """
    if plan.quickest and place.awaits_first_labels:
        place.write_first_labels(plan.quickest.voters, first_labels(plan.quickest, place))
    if plan.config.adapt.method != "pcp":
        return adapted(plan.config.adapt, place)
    before = first_generation(plan, place)
    taught = prompted(before, distinct_pvps(plan.patterns), plan.config.adapt, place)
    return kept_if_sound(before, first_generation(plan, taught, [before]), place, taught)


def first_generation(plan: Plan, place: RunPlace, kept: Sequence[Generation] = ()) -> Generation:
    """Return what generation 0 says, judged as one that goes on from those that were kept."""
    sets, rows = first_sets(plan.drawing), rows_to_label(0, None, plan.drawing)
    with place.handing(place.jobs) as handing:
        ensemble = ask(plan, sets, rows, 0, place.jobs, handing)
    # What the model has read is no generation: whether to keep it is not asked of `accept_all`.
    return judge(0, sets, rows, ensemble, kept, replace(plan.guards, accept_all=False) if kept else plan.guards)


def label_pool(plan: Plan, place: RunPlace) -> list[Generation]:
    """Train generations of voters, and label the pool with the last one accepted; one generation is plain PET."""
    found: list[Generation] = []
    with place.handing(place.jobs) as handing:
        for number in range(plan.generations):
            kept = accepted(found)
            source = kept[-1] if kept else None
            sets = next_training_sets(source, number, plan.drawing, place.log) if source else first_sets(plan.drawing)
            rows = rows_to_label(number, source, plan.drawing)
            ensemble = ask(plan, sets, rows, number, place.jobs, handing)
            found.append(judge(number, sets, rows, ensemble, kept, plan.guards))
            place.tell_of(found[-1])
            place.keep(found[-1])
        found = over_whole_pool(found, plan, place, handing)
    place.write_labels(accepted(found))
    return found


def ask(
    plan: Plan,
    sets: Sequence[TrainingSet],
    rows: np.ndarray,
    number: int,
    jobs: Jobs,
    handing: Handing | None = None,
) -> Ensemble:
    """Train the voters of a generation on their sets, and return what they say together of pool rows (int64 [n])."""
    scores = vote(plan.voters, sets, rows, number, jobs, handing)
    ensemble = weigh(calibrate(scores, plan.rules), rows, plan.rules, jobs)
    return refine(ensemble, rows, plan.refinement, jobs)


def first_labels(quickest: Plan, place: RunPlace) -> Ensemble:
    """Label the pool by the voters that take seconds, for whoever does not want to wait for the others."""
    pool = np.arange(len(quickest.data.unlabeled))
    return ask(quickest, first_sets(quickest.drawing), pool, 0, place.jobs)


def over_whole_pool(found: list[Generation], plan: Plan, place: RunPlace, handing: Handing | None) -> list[Generation]:
    """Let the last generation accepted label the whole pool, where the one that was to do it was rejected."""
    last, pool = accepted(found)[-1], np.arange(len(plan.data.unlabeled))
    if len(last.rows) == len(pool):
        return found
    place.log.say(f"generation {last.number} labels the whole pool")
    place.jobs.runner.stages.total += len(plan.voters)
    ensemble = ask(plan, last.sets, pool, last.number, place.jobs, handing)
    whole = judge(last.number, last.sets, pool, ensemble, (), plan.guards)
    figures = replace(whole.figures, changed=last.figures.changed)
    whole = replace(whole, step=last.step, continues=last.continues, figures=figures)
    place.keep(whole)
    return [whole if one is last else one for one in found]


def curve(config: RunConfig, output_dir: str | Path | None = None, *, quiet: bool = False) -> Curve:
    """Tell what more labeled and more unlabeled rows are expected to bring, by the voter on vectors alone.

    The vectors of the rows lie in `output_dir` (default: ``runs/<task name>``), where `run` finds them done.

    Raises `PetError` if an input is wrong, there is no encoder, or the directory holds another run.
    """
    try:
        plan = prepare(config)
    except PromptError:  # no word is needed here
        plan = prepare(config, words=False)
    if plan.encoder is None:
        raise ConfigError("A learning curve needs the vectors of an encoder: set encoder.name, such as e5-small.")
    with open_jobs(plan, output_dir, quiet=quiet) as jobs:
        return run_curve(plan.encoder, jobs, THOROUGH)


def distill(
    run_dir: str | Path, overrides: Sequence[str] = (), output_dir: str | Path | None = None, *, quiet: bool = False
) -> Path:
    """Train a classifier from the `pseudo_labels.parquet` of a run as it is now, corrections included.

    `overrides` such as ``distill.steps=300`` or ``distill.model="my/model"`` change the run's settings; the classifier
    goes to `output_dir`, or in the place of the run's own. Of the run's input files only the test file is read, if it
    is still there.

    Raises `ConfigError` if an override is about anything but `[distill]`, or `output_dir` holds something. Raises
    `DataError` if there is no labeled data set.
    """
    with reopen_place(run_dir, overrides, output_dir, quiet=quiet) as (place, target):
        rows = place.labeled_rows()
        place.tell_of_rows(rows)
        place.replace_model(teach(rows, place.distill, place.jobs, place.tuned), rows, target)
        if target == place.directory.model and place.directory.report_path.is_file():
            draw_report(place.directory.root, place.log)
    return target

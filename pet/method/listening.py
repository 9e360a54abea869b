"""Who hears of a run: the callbacks that were handed in, and the trackers that its settings name."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pet.method.callbacks import Callback, Callbacks
from pet.method.place import RunPlace
from pet.method.trackers import TRACKING, Tracking
from pet.runs.manifest import flat_settings


@contextmanager
def listening(place: RunPlace, callbacks: Sequence[Callback] = ()) -> Iterator[RunPlace]:
    """Yield the place of a run that tells of itself to callbacks and trackers; trackers are closed however it ends."""
    config, started = place.plan.config, list[Tracking]()
    settings = flat_settings(tomllib.loads(config.to_toml()))
    folder = place.directory.root / TRACKING
    warn = place.log.warn
    for name in config.run.report_to:
        try:
            started.append(Tracking.start(name, config.task.name, folder, settings))
        except Exception as error:  # as of a server that is not there; the labels do not depend on it
            warn(f"{name} does not start ({type(error).__name__}: {error}): nothing is reported to it")
    jobs = replace(place.jobs, callbacks=Callbacks([*callbacks, *started], warn))
    try:
        yield replace(place, jobs=jobs)
    finally:
        for tracking in started:
            try:
                tracking.finish()
            except Exception as error:
                warn(f"{tracking.name} does not close ({type(error).__name__}: {error})")

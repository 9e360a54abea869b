"""Figures of a server as Prometheus reads them: requests, seconds, rows, batches, labels, confidence; the pool's."""

from collections.abc import Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pet.labeling.drift import Sketch

TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SHARES = tuple(share / 10 for share in range(1, 11))


class Metrics:
    """The figures of one server; a further one is another set.

    Quantiles are asked of the histograms, such as
    ``histogram_quantile(0.99, sum by (le) (rate(pet_request_seconds_bucket[5m])))``.
    With a `sketch` of the pool stand beside what was given now the label ratio and the confidence there, and how many
    rows are unfamiliar.
    """

    def __init__(self, labels: Sequence[str], sketch: Sketch | None = None) -> None:
        self.registry = CollectorRegistry()
        kept = self.registry
        self._requests = Counter("pet_requests", "Requests, by path and status.", ("path", "status"), registry=kept)
        self._seconds = Histogram(
            "pet_request_seconds", "Seconds that requests took.", ("path",), buckets=_SECONDS, registry=kept
        )
        self._rows = Counter("pet_rows", "Rows that were labeled.", registry=kept)
        self._batches = Histogram("pet_batch_rows", "Rows that were computed together.", buckets=_ROWS, registry=kept)
        given = Counter("pet_labels", "Rows that got a label.", ("label",), registry=kept)
        self._labels = [given.labels(label) for label in labels]
        self._confidence = Histogram(
            "pet_confidence", "The probability of the label that a row got.", buckets=_SHARES, registry=kept
        )
        self._waiting = Gauge("pet_waiting_tokens", "About how many tokens wait to be computed.", registry=kept)

        self._unfamiliar: Counter | None = None
        if sketch is not None:
            self._tell_pool(labels, sketch)

    def _tell_pool(self, labels: Sequence[str], sketch: Sketch) -> None:
        probs, kept = sketch.facts.probs, self.registry
        share = Gauge("pet_pool_label_share", "The share of the pool that has a label.", ("label",), registry=kept)
        shares = np.bincount(probs.argmax(axis=1), minlength=len(labels)) / len(probs)
        for label, found in zip(labels, shares.tolist(), strict=True):
            share.labels(label).set(found)
        sure = Gauge("pet_pool_confidence", "The mean confidence of the labels of the pool.", registry=kept)
        sure.set(float(probs.max(axis=1).mean()))
        if sketch.limit is not None:
            self._unfamiliar = Counter("pet_unfamiliar_rows", "Rows that are unlike all of the pool.", registry=kept)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Note a request that was answered."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, rows: int) -> None:
        """Note a batch."""
        self._batches.observe(rows)

    def labeled(self, probs: np.ndarray, unfamiliar: int = 0) -> None:
        """Note what was said of rows, float32 [n, k], of which so many are `unfamiliar`."""
        if self._unfamiliar is not None:
            self._unfamiliar.inc(unfamiliar)
        self._rows.inc(len(probs))
        for column, confidence in zip(probs.argmax(axis=1).tolist(), probs.max(axis=1).tolist(), strict=True):
            self._labels[column].inc()
            self._confidence.observe(confidence)

    def text(self, waiting: int) -> bytes:
        """Return all figures; so many tokens are `waiting` now."""
        self._waiting.set(waiting)
        return generate_latest(self.registry)

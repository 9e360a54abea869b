"""A map of the pool: rows that say the same lie near each other."""

import numpy as np

from pet.reports.html.page import Section
from pet.reports.html.report import Report
from pet.reports.html.show import hues, shortened
from pet.seeding import rng_for

MAPPED_ROWS = 1000
"""Of a larger pool so many rows are drawn."""

FEWEST = 8
"""Fewer rows make no map."""

SIDE = 1000
"""The coordinates go from 0 to this."""

_TEXT = 160  # characters of a row
_COMPONENTS, _STEPS, _NEIGHBOURS = 30, 400, 30


def pool_map(report: Report) -> Section | None:
    """Place rows of the pool in two dimensions by the vectors of the encoder."""
    if report.vectors is None:
        return None
    by_id = {report.rows.ids[place]: place for place in report.rows.pool.tolist()}
    known = [i for i, name in enumerate(report.vector_ids) if name in by_id]
    if len(known) < FEWEST:
        return None
    rng = rng_for(int(report.metrics.get("seed", 0)), "map")
    chosen = np.sort(rng.choice(known, size=min(MAPPED_ROWS, len(known)), replace=False))
    places = np.asarray([by_id[report.vector_ids[i]] for i in chosen])
    points = flat(np.asarray(report.vectors[chosen], np.float32), int(report.metrics.get("seed", 0)))
    counts: dict[str, int] = {}
    for place in places.tolist():
        counts[report.rows.label[place]] = counts.get(report.rows.label[place], 0) + 1
    used = [label for label in dict.fromkeys((*report.labels, *counts)) if label in counts]
    colours = hues(used, counts)
    sure = np.nan_to_num(report.rows.confidence[places], nan=1.0)
    marks = [
        (int(x), int(y), colours[report.rows.label[place]], round(100 * float(c)))
        for (x, y), place, c in zip(points, places.tolist(), sure, strict=True)
    ]
    texts = [shortened(text, _TEXT) for text in report.rows.texts(places)]
    names = [used.index(report.rows.label[place]) for place in places.tolist()]
    data = {"labels": used, "label": names, "confidence": [mark[3] for mark in marks], "texts": texts}
    alone: dict[int, list[str]] = {}
    for label, hue in colours.items():
        alone.setdefault(hue, []).append(label)
    legend = [(hue, some[0] if len(some) == 1 else f"{len(some)} other labels") for hue, some in sorted(alone.items())]
    content = {"marks": marks, "legend": legend, "labels": used, "shown": len(marks), "pool": len(report.rows.pool)}
    return Section("map", "A map of the pool", content, data)


def flat(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Place vectors [n, h] in the plane, int64 [n, 2] from 0 to `SIDE`: near ones stay near (t-SNE).

    >>> flat(np.eye(9, 4, dtype=np.float32), 0).shape
    (9, 2)
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    parts = min(_COMPONENTS, *vectors.shape)
    spread = vectors - vectors.mean(axis=0)
    if not spread.any():
        return np.full((len(vectors), 2), SIDE // 2)
    reduced = PCA(parts, random_state=seed, svd_solver="full" if parts > 5 else "auto").fit_transform(spread)
    perplexity = min(_NEIGHBOURS, (len(vectors) - 1) / 3)
    found = TSNE(2, perplexity=perplexity, init="pca", max_iter=_STEPS, random_state=seed).fit_transform(reduced)
    low, high = found.min(axis=0), found.max(axis=0)
    return np.asarray(np.rint((found - low) / np.maximum(high - low, 1e-9) * SIDE), np.int64)

"""What is read of a text that is longer than the input: its beginning, its end, both ends, or all of it in windows."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from pet.labeling.votes import softmax
from pet.settings.task import Truncation, WindowScores

Join = Callable[[np.ndarray], np.ndarray]
"""Makes one row, float32 [c], of what was computed of its windows, float32 [w, c]."""


def shortened_lengths(lengths: Sequence[int], budget: int) -> list[int]:
    """Return lengths with a sum of at most `budget`, the longest always giving first.

    Equal to taking one token at a time from the longest (the first of them on a tie), without the loop.

    >>> shortened_lengths([5, 3], 8), shortened_lengths([5, 3], 6), shortened_lengths([5, 3], 3)
    ([5, 3], [3, 3], [1, 2])
    """
    if sum(lengths) <= budget:
        return list(lengths)
    caps = range(budget // len(lengths), budget + 1)  # what each field gets that has more: the most for which all fit
    cap = caps[bisect_right(caps, budget, key=lambda cap: sum(min(size, cap) for size in lengths)) - 1]
    kept = [min(size, cap) for size in lengths]
    left = budget - sum(kept)
    longer = [i for i, size in enumerate(lengths) if size > cap]
    for i in longer[len(longer) - left :]:  # the later of equal fields keeps the odd token
        kept[i] += 1
    return kept


def shorten(ids: np.ndarray, length: int, truncation: Truncation) -> np.ndarray:
    """Return `length` of the int32 [t] ids: without the tail, without the head, or (head+tail) the ends of both.

    Of windows it is the first.

    >>> [shorten(np.arange(6), 3, how).tolist() for how in ("tail", "head", "head+tail")]
    [[0, 1, 2], [3, 4, 5], [0, 1, 5]]
    """
    if length >= len(ids):
        return ids
    if truncation == "head":
        return ids[len(ids) - length :]
    if truncation != "head+tail":
        return ids[:length]
    head = (length + 1) // 2
    return np.concatenate([ids[:head], ids[len(ids) - (length - head) :]])


def window_counts(lengths: np.ndarray, kept: np.ndarray, truncation: Truncation) -> np.ndarray:
    """Return in how many windows each row is read, int64 [n], of parts with `lengths` [n, c] of which `kept` fit.

    >>> window_counts(np.array([[9, 3], [2, 2]]), np.array([[4, 3], [2, 2]]), "windows").tolist()
    [3, 1]
    """
    if truncation != "windows":
        return np.ones(len(lengths), np.int64)
    counts = -(-lengths // np.maximum(kept, 1)) * (kept > 0)
    return np.asarray(counts.max(axis=1, initial=1), np.int64)


def read_parts(ids: np.ndarray, length: int, truncation: Truncation, count: int) -> list[np.ndarray]:
    """Return what is read of int32 [t] ids in each of `count` windows, at most `length` of them each.

    Windows are about equally long and do not overlap. A part of a row that needs fewer of them than another does stays
    in each of its windows the longer.

    >>> [part.tolist() for part in read_parts(np.arange(5), 2, "windows", 3)]
    [[0, 1], [2, 3], [4]]
    >>> [part.tolist() for part in read_parts(np.arange(2), 2, "windows", 3)]
    [[0, 1], [0, 1], [0, 1]]
    """
    if truncation != "windows" or length >= len(ids) or length == 0:
        return [shorten(ids, length, truncation)] * count
    pieces = np.array_split(ids, -(-len(ids) // length))
    return [pieces[window * len(pieces) // count] for window in range(count)]


def joined(scores: WindowScores) -> Join:
    """Return what makes the scores of labels of a row, of those of its windows.

    A mean of log-probabilities is one of raw scores, but for a number that all labels share.

    >>> windows = np.array([[0.0, 1.0], [9.0, 0.0]], np.float32)
    >>> joined("mean")(windows).tolist(), joined("surest")(windows).tolist()
    ([4.5, 0.5], [9.0, 0.0])
    """
    return mean_of_windows if scores == "mean" else surest_of_windows


def mean_of_windows(values: np.ndarray) -> np.ndarray:
    """Return the mean, float32 [c], of what was computed of windows, float32 [w, c]."""
    return np.asarray(values.mean(axis=0))


def surest_of_windows(values: np.ndarray) -> np.ndarray:
    """Return the scores, float32 [k], of the window that is surest of its label, of float32 [w, k]."""
    return np.asarray(values[softmax(values).max(axis=1).argmax()])

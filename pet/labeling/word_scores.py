"""Which words tell labels apart, by what a model says at the mask: PETAL (2010.13641), AVS (2001.07676, appendix).

Everywhere `logs` are log-probabilities [n, c] of c candidate words in n rows, and `targets` [n, k] say how much each
row is one of each label: 0 and 1 for labeled rows, soft labels for others. Scores are [k, c], a word's for each label.
"""

from collections.abc import Sequence

import numpy as np

LIKELY_WORDS = 1000
"""Of a label, so many words that are most likely in its rows can become its words (2010.13641, section 4.1)."""

AVS_ROUNDS = 5
"""So often the distribution that words are drawn from is made anew (2001.07676, appendix)."""

AVS_LEAST = 1e-3
"""The least weight of a word in that distribution, epsilon there."""

_LARGEST = 1.0 - 1e-6


def likelihood_ratio(logs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the balanced log-likelihood ratio of each word, float64 [k, c] (2010.13641, section 3).

    It is the mean of log p / (1 - p) over the rows of a label less that over all others: both sides weigh the same,
    however many rows they have.

    >>> likelihood_ratio(np.log([[0.5, 0.5], [0.2, 0.8]]), np.eye(2)).round(2).tolist()
    [[1.39, -1.39], [-1.39, 1.39]]
    """
    odds = logs - _log_not(logs)
    own, others = _shares(targets)
    return np.asarray(own.T @ odds - others.T @ odds)


def cross_entropy(logs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the balanced log-likelihood of each word, float64 [k, c] (2010.13641, section 3, the cross-entropy loss).

    It is the mean of log p over the rows of a label plus that of log (1 - p) over all others. Frequent words win.

    >>> cross_entropy(np.log([[0.5, 0.5], [0.2, 0.8]]), np.eye(2)).round(2).tolist()
    [[-0.92, -2.3], [-2.3, -0.92]]
    """
    own, others = _shares(targets)
    return np.asarray(own.T @ logs + others.T @ _log_not(logs))


def likely(logs: np.ndarray, targets: np.ndarray, count: int = LIKELY_WORDS) -> np.ndarray:
    """Return bool [k, c]: the `count` words that are most likely in the rows of each label.

    >>> likely(np.log([[0.5, 0.4, 0.1], [0.2, 0.1, 0.7]]), np.eye(2), 1).astype(int).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    means = _shares(targets)[0].T @ logs
    found = np.zeros(means.shape, np.bool_)
    best = np.argsort(-means, axis=1, kind="stable")[:, :count]
    np.put_along_axis(found, best, True, axis=1)
    return found


def avs_scores(
    logs: Sequence[np.ndarray], targets: np.ndarray, draws: int, rng: np.random.Generator, rounds: int = AVS_ROUNDS
) -> np.ndarray:
    """Return the distribution of automatic verbalizer search over the words of each label, [k, c] (2001.07676).

    `logs` are those of each pattern. A word is good for a label if, with words drawn for the others, the label is
    probable in its own rows and not in others. `draws` verbalizers are drawn, at first evenly, then from the words'
    scores, and the scores are the mean over draws and patterns.

    >>> rng = np.random.default_rng(0)
    >>> avs_scores([np.log([[0.5, 0.4, 0.1], [0.2, 0.1, 0.7]])], np.eye(2), 20, rng).argmax(axis=1).tolist()
    [1, 2]
    """
    labels, words = targets.shape[1], logs[0].shape[1]
    weights = np.subtract(*_shares(targets)).astype(np.float32)
    values = [np.exp(one - one.max(axis=1, keepdims=True), dtype=np.float32) for one in logs]
    chances = np.full((labels, words), 1.0 / words)
    for _ in range(rounds):
        drawn = np.stack([rng.choice(words, draws, p=row) for row in chances])
        scores = sum(_one_pattern(one, weights, drawn) for one in values) / len(values)
        scores = np.maximum(scores, AVS_LEAST)
        chances = scores / scores.sum(axis=1, keepdims=True)
    return np.asarray(chances)


def _one_pattern(values: np.ndarray, weights: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return s(t | l), float64 [k, c], of exponentials [n, c], with the others' words `drawn` int64 [k, draws]."""
    labels, draws = drawn.shape
    found = np.zeros((labels, values.shape[1]))
    for place in range(draws):
        chosen = values[:, drawn[:, place]]  # [n, k]
        others = chosen.sum(axis=1, keepdims=True) - chosen
        for label in range(labels):
            found[label] += weights[:, label] @ (values / (values + others[:, label, None] + 1e-30))
    return np.asarray(found / draws)


def assigned(scores: np.ndarray, count: int, allowed: np.ndarray | None = None) -> list[np.ndarray]:
    """Return the places of each label's words, best first: `count` of each at most, and a word for one label only.

    A word goes to the label that it scores highest for; a label that is left with none takes the best that is free.
    `allowed` bool [k, c] says which words a label can have at all.

    >>> [found.tolist() for found in assigned(np.array([[3.0, 2.0, 0.0], [2.0, 1.0, 0.5]]), 2)]
    [[0, 1], [2]]

    Raises `ValueError` if there are fewer words than labels.
    """
    if scores.shape[1] < scores.shape[0]:
        raise ValueError(f"{scores.shape[1]} words for {scores.shape[0]} labels: expected one each at least")
    usable = np.where(True if allowed is None else allowed, scores, -np.inf)
    owner = np.where(np.isfinite(usable).any(axis=0), usable.argmax(axis=0), -1)
    found = [_best(np.where(owner == label, usable[label], -np.inf), count) for label in range(len(scores))]
    taken = set(np.concatenate(found).tolist())
    for label, words in enumerate(found):
        if not len(words):
            free = np.where(np.isin(np.arange(scores.shape[1]), list(taken)), -np.inf, scores[label])
            found[label] = _best(free, 1)
            taken.update(found[label].tolist())
    return found


def standardised(scores: np.ndarray) -> np.ndarray:
    """Return scores [k, c] of which those of each label have mean 0 and standard deviation 1.

    >>> standardised(np.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """
    spread = np.maximum(scores.std(axis=1, keepdims=True), 1e-12)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / spread)


def mean_logits(logits: np.ndarray, words: Sequence[np.ndarray]) -> np.ndarray:
    """Return the score of each label, float64 [n, k]: the mean of its words' logits [n, c] (2001.07676, section 3.1).

    >>> mean_logits(np.array([[1.0, 3.0, 5.0]]), [np.array([0, 1]), np.array([2])]).tolist()
    [[2.0, 5.0]]
    """
    return np.stack([logits[:, places].mean(axis=1, dtype=np.float64) for places in words], axis=1)


def _best(values: np.ndarray, count: int) -> np.ndarray:
    order = np.argsort(-values, kind="stable")[:count]
    return np.asarray(order[np.isfinite(values[order])], np.int64)


def _shares(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of a label's own rows and of all others, [n, k] each; those of a column sum to 1."""
    own = np.asarray(targets, np.float64)
    return own / own.sum(axis=0), (1.0 - own) / (1.0 - own).sum(axis=0)


def _log_not(logs: np.ndarray) -> np.ndarray:
    """Return log (1 - p) of log p."""
    return np.asarray(np.log1p(-np.minimum(np.exp(logs), _LARGEST)))

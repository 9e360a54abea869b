"""An explanation as lines for a terminal: the answer first, then the votes, what was trained on and the clozes.

Nothing in the texts of a row, its labels or ids is read as markup, and no character of theirs steers the terminal.
"""

from collections.abc import Sequence

from pet.data.examples import Example
from pet.errors import visible
from pet.prompts.patterns import Pattern
from pet.reports.columns import columns
from pet.reports.explain import MASK, Explanation, GenerationView, Learned, VoterView

_TEXT = 200  # characters shown of a text
_LABELS = 5  # columns of a table of votes
_NAME = 16  # characters of the head of a column
_VOTERS = 3  # who decided, by name


def explanation_lines(found: Explanation) -> list[str]:
    """Return an explanation as lines, long texts shortened."""
    probs = found.probs or {}
    ranked = sorted(probs, key=lambda label: -probs[label])  # of equals the first, as the ensemble chooses
    last = max((one.number for one in found.generations if one.rejected is None), default=None)
    lines = columns([*_head(found, ranked[:_LABELS]), *_texts(found)], left=2)
    for one in found.generations:
        facts = [f"rejected: {one.rejected}"] if one.rejected is not None else []
        facts += [f"learned from the votes of generation {one.continues}"] if one.continues is not None else []
        facts += ["its votes make the ensemble"] if one.number == last else []
        lines += ["", f"generation {one.number}" + (f" ({'; '.join(facts)})" if facts else "")]
        lines += _gold_lines(one) if found.is_gold else _votes(one, ranked[:_LABELS])
    if len(ranked) > _LABELS and not found.is_gold:
        lines += ["", f"The {_LABELS} most probable of {len(ranked)} labels are shown; --json shows all."]
    return [visible(line) for line in [*lines, *_clozes(found)]]


def _head(found: Explanation, ranked: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs: what a line is about, and what it says."""
    label, probs = str(found.example.label), found.probs or {}
    if found.corrected_from is not None:
        label += f", corrected by hand (it was {found.corrected_from})"
    about = [("about", found.description)] if found.description else []
    if found.is_gold:
        return [("label", label), *about, ("row", f"{found.example.id} (gold: the label was given)"), *_note(found)]
    if found.corrected_from is None:
        label += _sure(found)
    origin = "pseudo: the voters labeled it" if probs else "added by hand: no voter saw it"
    pairs = [("label", label), *about, ("row", f"{found.example.id} ({origin})")]
    if probs:
        pairs.append(("ensemble", ", ".join(f"{name} {probs[name]:.2f}" for name in ranked)))
    if found.generation is not None:
        drawn = "" if found.training_sets is None else f", drawn for {_count(found.training_sets, 'training set')}"
        pairs.append(("history", f"first labeled in generation {found.generation}{drawn}"))
    return [*pairs, *_note(found)]


def _sure(found: Explanation) -> str:
    figures = {"confidence": found.confidence, "agreement": found.agreement}
    return "".join(f", {name} {figure:.2f}" for name, figure in figures.items() if figure is not None)


def _note(found: Explanation) -> list[tuple[str, str]]:
    return [("note", f"{_count(found.namesakes, 'more row')} with this id; the first of the pool is shown")] * bool(
        found.namesakes
    )


def _texts(found: Explanation) -> list[tuple[str, str]]:
    return [(field, _short(text)) for field, text in found.example.fields.items()]


def _votes(one: GenerationView, labels: Sequence[str]) -> list[str]:
    """Return the votes of a generation in columns of `labels`, and who was trained on the row."""
    trained = [_trained_on(voter.name, voter.trained_on) for voter in one.voters if voter.trained_on]
    rows = [_vote_row(voter, labels) for voter in one.voters if voter.probs or voter.outside]
    if not any(voter.probs for voter in one.voters):
        return ["  not labeled in this generation", *trained]
    return [*columns([("", "voter", "votes for", *(_short(name, _NAME) for name in labels)), *rows], left=3), *trained]


def _vote_row(voter: VoterView, labels: Sequence[str]) -> tuple[str, ...]:
    name = f"{voter.name} ({voter.outside})" if voter.outside else voter.name
    if voter.probs is None:
        return ("", name, "no vote", *("" for _ in labels))
    return ("", name, str(voter.label), *(f"{voter.probs[label]:.2f}" for label in labels))


def _trained_on(voter: str, trained_on: Learned) -> str:
    more = len(trained_on.decided_by) - _VOTERS
    names = ", ".join(trained_on.decided_by[:_VOTERS]) + (f" and {more} more" if more > 0 else "")
    sure = f" ({trained_on.confidence:.2f})" if trained_on.confidence is not None else ""
    return f"  {voter} was trained on it as {trained_on.label}{sure}{f', decided by {names}' if names else ''}"


def _gold_lines(one: GenerationView) -> list[str]:
    """Say of a labeled row, on which nobody votes, how many voters learned it."""
    learners = [voter for voter in one.voters if not voter.outside]
    learned = sum(voter.trained_on is not None for voter in learners)
    return [f"  {learned} of {_count(len(learners), 'voter')} trained on it"]


def _clozes(found: Explanation) -> list[str]:
    """Return what each pattern makes of the row, and the words that speak for its label; nothing without patterns."""
    if not found.askers:
        return []
    spoken = f"; for {found.example.label}: {' or '.join(found.words)}" if found.words else ""
    rows = [("", name, _cloze(pattern, found.example)) for name, (pattern, _) in found.askers.items()]
    return ["", f"what the voters read ({MASK} is the place of a label's word{spoken})", *columns(rows, left=3)]


def _cloze(pattern: Pattern, row: Example) -> str:
    """Return a row as `Pattern.describe` does, each text shortened only after the filters have seen all of it."""
    sides = ["", ""]
    for part in pattern.render(row):
        text = _short(part.text) if part.kind == "field" else part.shown(MASK)
        sides[part.segment] += (" " if part.spaced and sides[part.segment] else "") + text
    return " || ".join(filter(None, sides))


def _short(text: str, limit: int = _TEXT) -> str:
    """Return a text on one line; of a long one the beginning and the end."""
    text = " ".join(text.split())
    tail = limit // 4
    return text if len(text) <= limit else f"{text[: limit - tail - 3].rstrip()} … {text[-tail:].lstrip()}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

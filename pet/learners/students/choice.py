"""Which student was chosen among several, and by what figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pet.learners.students.base import Fidelity


@dataclass(frozen=True)
class Candidate:
    """A trained student: its size, the model that it started from, and its updates; how far it says what it was taught.

    Without rows held out nothing says that last (None).
    """

    size: str
    model: str
    updates: int
    fidelity: Fidelity | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """What candidates are compared by, larger is better."""
        return self.fidelity.rank if self.fidelity else (0.0, 0.0)

    def told(self) -> str:
        """Return its figures for a person."""
        trained = f", {self.updates} updates" if self.updates else ""
        agreed = f" {self.fidelity.agreement:.1%}" if self.fidelity else ""
        return f"{self.size}{agreed} ({self.model}{trained})"


@dataclass(frozen=True)
class Choice:
    """The candidates in the order they were tried, and which of them is the final classifier.

    `held_out` rows of the pool say how far each says what the teacher does; the teacher's own expected accuracy on them
    is `ceiling`.
    """

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    held_out: int = 0
    ceiling: float | None = None

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        lines = [{**asdict(one), "chosen": one == self.chosen} for one in self.candidates]
        return {"held_out": self.held_out, "ceiling": self.ceiling, "candidates": lines}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Choice":
        """Return what `as_json` has made plain values of."""
        found = []
        for line in stored["candidates"]:
            fidelity = line["fidelity"] and Fidelity(**line["fidelity"])
            found.append((Candidate(line["size"], line["model"], line["updates"], fidelity), line["chosen"]))
        chosen = next(one for one, taken in found if taken)
        return cls(tuple(one for one, _ in found), chosen, stored["held_out"], stored["ceiling"])

    def lines(self) -> list[str]:
        """Say what was chosen, by what, and what is to be expected of it."""
        if not self.held_out:
            trained = "trained for a fixed number of steps, " if self.chosen.updates else ""
            return [
                f"classifier: {self.chosen.told()}; the pool has too few rows to hold any out, so that it was "
                f"{trained}compared with no other and not calibrated"
            ]
        others = [one.told() for one in self.candidates if one != self.chosen]
        than = f"; others: {', '.join(others)}" if others else ""
        return [
            f"classifier: {self.chosen.told()}, by agreement with the ensemble on {self.held_out} rows of the pool "
            f"held out of it, of which the ensemble itself expects to have {self.ceiling:.1%} right{than}"
        ]

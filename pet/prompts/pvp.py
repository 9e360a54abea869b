"""`PVP`: a pattern and a verbalizer, the unit that one voter is trained on."""

from dataclasses import dataclass

from pet.data.examples import Task
from pet.errors import PromptError, near_matches
from pet.prompts.patterns import Pattern
from pet.prompts.verbalizers import Verbalizer


@dataclass(frozen=True)
class PVP:
    """A pattern-verbalizer pair (Schick and Schütze 2021, section 3.1).

    >>> PVP(Pattern("agnews/colon", "{mask}: {text}"), Verbalizer.from_labels(["Sports", "World"])).name
    'agnews/colon+labels'
    """

    pattern: Pattern
    verbalizer: Verbalizer

    @property
    def name(self) -> str:
        """The pattern's name, then the verbalizer's behind its slash: ``"agnews/category+words"``."""
        return f"{self.pattern.name}+{self.verbalizer.name.rpartition('/')[2]}"

    def key(self) -> dict[str, object]:
        """Return all that it says, as plain values: its template and words may change under the same name."""
        words = [[label, list(of_label)] for label, of_label in self.verbalizer.words.items()]
        return {"name": self.name, "template": self.pattern.template, "words": words}

    def check(self, task: Task) -> None:
        """Check that the pattern and the verbalizer fit a task.

        Raises `PromptError` if the pattern uses a field that the task lacks, or the verbalizer's labels are not
        the task's.
        """
        for name in self.pattern.fields:
            if name not in task.fields:
                raise PromptError(
                    f"Pattern {self.pattern.name!r} needs the field {name!r}, which task {task.name!r} "
                    f"lacks: map a column to it in [task.fields].{near_matches(name, task.fields)}"
                )
        self.verbalizer.for_labels(task.labels)

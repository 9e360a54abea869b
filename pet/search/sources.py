"""Where the patterns of a search come from: rules, a T5, other words for those there are, trained virtual tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pet.data.examples import Task
from pet.prompts.patterns import Pattern
from pet.prompts.registry import load_verbalizers
from pet.prompts.verbalizers import Verbalizer
from pet.search.generation import Writer
from pet.search.paraphrase import paraphrases
from pet.search.place import SearchPlace
from pet.search.rows import SearchRows
from pet.search.rules import NOUNS, rule_patterns
from pet.search.soft import discrete_patterns
from pet.starting.kinds import kind_of


@dataclass(frozen=True)
class Ways:
    """How patterns are found: by `rules` filled with `noun` ("": by the labels), as `paraphrases` of those there are.

    `writer` is the folder of a T5, `soft` the directory of a run with saved voters ("" and None: neither).
    """

    rules: bool = True
    paraphrases: bool = True
    noun: str = ""
    writer: str = ""
    soft: Path | None = None

    def patterns(
        self, task: Task, present: Sequence[Pattern], words: Verbalizer, rows: SearchRows, place: SearchPlace
    ) -> list[Pattern]:
        """Return the patterns of all ways, and say how many could not be used.

        Raises `PromptError` if a way does not fit the task, `ModelError` if the T5 is none, and `ConfigError` if no
        voter of the run has virtual tokens.
        """
        found, labeled = list[Pattern](), rows.known[: len(rows.gold)]
        if self.rules:
            found += rule_patterns(task.fields, self.noun or noun_of(task), task.labels)
        if self.paraphrases:
            found += paraphrases([one for one in present if not one.virtual_parts], words, labeled, place.model)
        if self.writer:
            written = Writer.load(self.writer).patterns(task.fields, words, labeled)
            place.log.say(
                f"the T5 wrote {len(written.patterns)} patterns; {written.dropped} more lost the mask and are dropped"
            )
            found += written.patterns
        return found + (self._discrete(self.soft, rows, place) if self.soft else [])

    def _discrete(self, run: Path, rows: SearchRows, place: SearchPlace) -> list[Pattern]:
        found = discrete_patterns(run, rows, place.model)
        for one in found:
            place.log.say(str(one))
        return [one.pattern for one in found if one.is_as_good]


def noun_of(task: Task) -> str:
    """Return what the labels of a task are, in a word."""
    if len(task.fields) != 1:
        return "answer"
    return NOUNS.get(kind_of(task.labels, task.fields, "label", load_verbalizers()).name, "topic")

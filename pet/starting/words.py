"""Whether the words of labels can be asked for at a mask: in one token, in several, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pet.errors import PromptError
from pet.learners.models.sources import ModelSource, load_tokenizer
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.models.words import WordReport, word_reports
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer


@dataclass(frozen=True)
class Tried:
    """What a tokenizer makes of the words: the `usable` ones of each label, and whether some have several tokens.

    `long` is one of these with its tokens; `dropped` are words that are left out.
    """

    usable: Mapping[str, tuple[str, ...]]
    multi_token: bool
    long: str = ""
    dropped: tuple[str, ...] = ()


def try_words(verbalizer: Verbalizer, pattern: Pattern, source: ModelSource) -> Tried:
    """Try the words of labels with the tokenizer of a model, as they stand at the mask of a pattern.

    Of the words of a label those of one token are taken, if there are any.

    Raises `PromptError` if two labels come to the same word, or the tokenizer does not know one.
    """
    pieces = PieceTokenizer(load_tokenizer(source.folder))
    found = sort_words(word_reports(PVP(pattern, verbalizer), pieces), verbalizer.labels)
    if found.multi_token:  # words of several tokens may be the same, too
        taken = PVP(pattern, Verbalizer(verbalizer.name, found.usable))
        sort_words(word_reports(taken, pieces, multi_token=True), verbalizer.labels)
    return found


def sort_words(reports: Sequence[WordReport], labels: Sequence[str]) -> Tried:
    """Return which words of the labels can be used, by the reports of a tokenizer on each.

    Raises `PromptError` as `try_words` does.
    """
    usable, dropped, long = dict[str, tuple[str, ...]](), list[str](), ""
    for label in labels:
        own = [report for report in reports if report.label == label]
        short = [report for report in own if not report.problem]
        taken = short or [report for report in own if report.is_long]
        if not taken:
            raise PromptError(
                f"The word {own[0].word!r} of the label {label!r} is {own[0].problem}: name another word for it, with "
                f"--labels {label}=WORD and the other labels behind it."
            )
        usable[label] = tuple(report.word for report in taken)
        dropped += [report.word for report in own if report not in taken]
        if not short and not long:
            long = f"{taken[0].word!r} has {len(taken[0].ids)} tokens"
    return Tried(usable, bool(long), long, tuple(dropped))

"""The text of a first pipeline: at most thirty lines of TOML that say what was chosen, and why."""

import json
from collections.abc import Iterator, Mapping, Sequence

from pet.errors import shown, visible
from pet.starting.proposal import Proposal

MOST_LINES = 30
_LABELS_SHOWN, _WORD_LINES = 8, 10


def pipeline_text(proposal: Proposal, name: str, command: str) -> str:
    """Return the pipeline of a proposal, called `name`, which `command` has made."""
    head = f"# Written by `{visible(command)}`: what it found, and why. Change what is wrong."
    lines = list[str]()
    for most in (_WORD_LINES, 0):  # the words of many labels share a line
        lines = [head, *_task(proposal, name), *_data(proposal), *_model(proposal), *_prompts(proposal, most)]
        if not proposal.sources.train and not proposal.sources.rows:
            lines += ["", "[ipet]", _line("generations", "auto", "no row is labeled: sure ones train the next voters")]
        if len(lines) <= MOST_LINES:
            break
    return "\n".join(lines) + "\n"


def _task(proposal: Proposal, name: str) -> Iterator[str]:
    columns, labels = proposal.columns, proposal.labels
    yield from ("", "[task]", f"name = {_value(name)}")
    if proposal.named:
        yield _line("labels", list(labels), "as you said")
    else:
        some = ", ".join(f"{shown(label, 40)} {count}" for label, count in list(labels.items())[:_LABELS_SHOWN])
        more = f" and {len(labels) - _LABELS_SHOWN} more" if len(labels) > _LABELS_SHOWN else ""
        yield f"# {len(labels)} labels, with so many rows: {visible(some)}{more}"
    if columns.label:
        yield _line("label_column", columns.label, columns.why_label)
    if columns.id:
        yield _line("id_column", columns.id, columns.why_id)
    else:
        yield "# no column of ids: rows are called by their place in the file"
    yield from ("", "[task.fields]")
    for field, column in zip(proposal.kind.fields, columns.texts, strict=True):
        yield _line(field, column, columns.why_texts)
    if proposal.others:
        yield f"# other columns are kept as they are: {visible(', '.join(proposal.others[:_LABELS_SHOWN]))}"


def _data(proposal: Proposal) -> Iterator[str]:
    sources = proposal.sources
    yield from ("", "[data]")
    if sources.rows:
        why = f"{sources.labeled} rows have a label, {sources.total - sources.labeled} have none and will get one"
        yield _line("rows", sources.rows, why)
    if sources.train:
        yield _line("train", sources.train, f"{sources.labeled} rows with a label")
    if sources.unlabeled:
        yield _line("unlabeled", sources.unlabeled, "the rows to label")
    if sources.test:
        yield _line("test", sources.test, "only ever measured on")
    if proposal.encoding != "utf-8":
        yield _line("encoding", proposal.encoding, f"not UTF-8; as this, a word of it is {visible(proposal.sample)}")


def _model(proposal: Proposal) -> Iterator[str]:
    yield from ("", "[model]")
    unread = f"{proposal.unread}: a run leaves the patterns out; xlm-roberta-base reads a hundred languages"
    yield _line("name", proposal.model, unread if proposal.unread else "it knows the words of the texts")


def _prompts(proposal: Proposal, most: int) -> Iterator[str]:
    kind, words = proposal.kind, proposal.words
    yield from ("", "[prompts]", _line("patterns", [kind.patterns], f"{kind.name}: {kind.why}"))
    if words.multi_token:
        yield _line("multi_token", True, f"{visible(words.long)}; without, a word has one")
    own = proposal.own_words
    if kind.doubt:
        yield f"# {visible(kind.doubt)}"
    if kind.verbalizer and not own:
        yield _line("verbalizer", kind.verbalizer, "built-in words for these labels")
    elif not own:
        yield '# the words of the labels are their names; others: [prompts.words], a line such as x = ["word"] for each'
    else:
        dropped = f"; left out, for the model does not have them as one token: {', '.join(words.dropped)}" * bool(
            words.dropped
        )
        yield from _own_words(own, most, f"what stands at the mask for each label{visible(dropped)}")


def _own_words(words: Mapping[str, Sequence[str]], most: int, why: str) -> Iterator[str]:
    """Yield a line for each label, or one for all where there are more than `most`."""
    pairs = [f"{_value(label)} = {_value(list(own))}" for label, own in words.items()]
    if len(pairs) > most:
        yield f"words = {{ {', '.join(pairs)} }}  # {why}"
    else:
        yield from ("", f"[prompts.words]  # {why}", *pairs)


def _line(key: str, value: object, why: str) -> str:
    return f"{key} = {_value(value)}" + (f"  # {visible(why)}" if why else "")


def _value(value: object) -> str:
    """Return a text, a truth or a list of texts as TOML has it."""
    # What JSON escapes TOML reads alike, but for the one control sign that JSON lets through.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

"""Which columns hold the texts, the labels and the ids: a guess, with its reason."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pet.errors import ColumnError, DataError, close_match, shown
from pet.settings.task import label_word
from pet.starting.survey import Column

LABEL_NAMES = (
    *("label", "labels", "category", "class", "intent", "topic", "sentiment", "target", "tag", "stance", "kategorie"),
    *("klasse", "thema", "rating", "stars", "score", "polarity", "categorie", "etiqueta", "categoria", "gold", "y"),
)
"""Names of columns of labels, the surest first."""

TEXT_NAMES = (
    *("text", "sentence", "message", "content", "body", "comment", "review", "question", "query", "utterance"),
    *("document", "description", "tweet", "post", "nachricht", "inhalt", "texte", "texto", "title", "subject"),
)
"""Names of columns of texts, the surest first."""

TITLES = ("title", "headline", "subject", "heading", "titel", "betreff", "name")
"""Names of columns that stand above a text."""

PAIRS = (
    ("premise", "hypothesis"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("target", "text"),
    ("target", "comment"),
)
"""Names of two columns of texts that belong together."""

ID_NAMES = ("id", "nr", "no", "number", "nummer", "key", "uuid", "guid", "index", "idx", "_id")


@dataclass(frozen=True)
class Chosen:
    """The columns of a task: one or two of texts, that of labels ("" where there is none) and of ids, and why."""

    texts: tuple[str, ...]
    label: str
    id: str
    why_texts: str
    why_label: str
    why_id: str


@dataclass(frozen=True)
class Given:
    """What a person has said of the columns; empty: it is to be guessed."""

    texts: tuple[str, ...] = ()
    label: str = ""
    id: str = ""


def choose_columns(columns: Mapping[str, Column], given: Given, source: str, labels: Collection[str] = ()) -> Chosen:
    """Choose the columns of a file; with `labels`, one of labels holds no others, and there may be none.

    Raises `ColumnError` if a column that was given is not there, or one cannot be told, and says which flags decide.
    """
    for name in filter(None, (*given.texts, given.label, given.id)):
        if name not in columns:
            raise ColumnError(
                f"{source} has no column {shown(name)}; found {_listed(columns)}.{close_match(name, columns)}"
            )
    pair = () if given.texts else pair_of(columns)
    label, why_label = _label(columns, given, source, pair, labels)
    texts, why_texts = _texts([column for column in columns.values() if column.name != label], given, source, pair)
    key, why_id = _id(columns, given, {label, *texts})
    return Chosen(texts, label, key, why_texts, why_label, why_id)


def pair_of(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return two columns whose names say that they belong together, else nothing."""
    names = {name.casefold().replace(" ", "_"): name for name in columns}
    for pair in PAIRS:
        found = tuple(names[name] for name in pair if name in names)
        # A column called "target" may be one of labels; as a text it has words.
        if len(found) == 2 and (pair[0] != "target" or columns[found[0]].mean(columns[found[0]].words) > 1.5):
            return found
    return ()


def _label(
    columns: Mapping[str, Column], given: Given, source: str, pair: Sequence[str], labels: Collection[str]
) -> tuple[str, str]:
    if given.label:
        return given.label, "as you said"
    free = [column for column in columns.values() if column.name not in (*given.texts, *pair, given.id)]
    fitting = [column for column in free if not labels or _holds_only(column, labels, source)]
    for name in LABEL_NAMES:
        for column in fitting:
            if column.name.casefold() == name and column.filled and column.distinct < MOST_LABELS:
                return column.name, f"by its name; {column.distinct} different labels in {column.filled} rows"
    likely = [column for column in fitting if _reads_like_labels(column)]
    likely = [column for column in likely if not column.is_numeric] or likely
    if len(likely) == 1:
        (column,) = likely
        return column.name, f"{column.distinct} different short values in {column.filled} rows"
    if labels:
        return "", ""
    if likely:
        raise ColumnError(
            f"{source}: which column holds the labels? {_listed(column.name for column in likely)} could: name it with "
            "--label-column."
        )
    raise ColumnError(
        f"{source}: no column looks like labels; found {_listed(columns)}: name it with --label-column, or, if no row "
        "is labeled yet, name the labels with --labels a,b,c."
    )


MOST_LABELS = 1000


def _holds_only(column: Column, labels: Collection[str], source: str) -> bool:
    """Say whether a column holds no other labels; one with some of them and others is refused."""
    values = {label_word(value) for value in column.values}
    others = sorted(values.difference(labels))
    if others and len(others) < len(values):
        raise DataError(
            f"{source}: the column {shown(column.name)} has labels that --labels does not name, such as "
            f"{shown(others[0])}: name them all, or another column with --label-column.{close_match(others[0], labels)}"
        )
    return bool(values) and not others


def _texts(free: Sequence[Column], given: Given, source: str, pair: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    if given.texts:
        return given.texts, "as you said"
    if pair:
        return pair, "two texts, by their names"
    likely = [column for column in free if _reads_like_text(column)]
    if len(likely) == 1:
        return (likely[0].name,), f"{_length(likely[0])}, the only text"
    titles = [column for column in likely if column.name.casefold() in TITLES]
    bodies = [column for column in likely if column not in titles]
    if titles and len(bodies) == 1:
        return (bodies[0].name,), f"{_length(bodies[0])}; {titles[0].name} looks like its title and is not read"
    named = [column for name in TEXT_NAMES for column in likely if column.name.casefold() == name]
    if named:
        others = ", ".join(column.name for column in likely if column is not named[0])
        return (named[0].name,), f"by its name; {others} could be read with it: --text {named[0].name} --text ..."
    by_name = [column for name in TEXT_NAMES for column in free if column.name.casefold() == name and column.filled]
    if not likely and by_name:
        return (by_name[0].name,), "by its name"
    of, named_of = ("could", likely) if likely else ("is all there is, and none reads like one", free)
    raise ColumnError(
        f"{source}: which column holds the text? {_listed(column.name for column in named_of)} {of}: name it with "
        "--text, or two of them with --text A --text B."
    )


def _id(columns: Mapping[str, Column], given: Given, taken: Collection[str]) -> tuple[str, str]:
    if given.id:
        return given.id, "as you said"
    for column in columns.values():
        name = column.name.casefold()
        if column.name not in taken and column.is_unique and (name in ID_NAMES or name.endswith(("_id", "-id"))):
            return column.name, "by its name; no value stands twice"
    return "", ""


def _reads_like_text(column: Column) -> bool:
    """Say whether a column holds texts: more than a few letters, seldom the same."""
    long = column.mean(column.words) >= 2.5 or column.mean(column.characters) >= 12
    varied = column.distinct >= max(2, column.filled / 2)
    return column.filled > 0 and column.numbers * 2 < column.filled and long and varied and not _is_code(column)


def _is_code(column: Column) -> bool:
    """Say whether the values are single words, as ids and addresses are: long, without blanks, all ASCII."""
    return column.words == column.filled and all(value.isascii() for value in list(column.values)[:100])


def _reads_like_labels(column: Column) -> bool:
    """Say whether a column holds labels: few different ones, short."""
    few = 2 <= column.distinct <= column.filled / 2
    short = column.mean(column.words) <= 5 and column.mean(column.characters) <= 40
    return few and short and column.distinct <= (10 if column.is_numeric else 300)


def _length(column: Column) -> str:
    words = column.mean(column.words)
    return f"{words:.0f} words in the mean" if words >= 2 else f"{column.mean(column.characters):.0f} signs in the mean"


def _listed(names: Iterable[str]) -> str:
    found = [shown(name, 40) for name in names]
    return ", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")

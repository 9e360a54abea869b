"""A line of a file of SuperGLUE as rows with a text for each field, an id, an `idx` to submit it by, and its label.

    boolq     passage, question
    cb, rte   premise, hypothesis
    copa      premise, connective ("because" or "so"), choices: the alternatives as they go on with it
    wic       sentence1, sentence2, word
    wsc       text, with the pronoun *marked*, pronoun, noun
    multirc   passage, question, answer: a row for each answer; idx is passage-question-answer
    record    passage, before and after the placeholder, choices: the entities; answers, where there are some

Lines without a label make rows without one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Row = dict[str, Any]


def yes_or_no(*fields: str) -> Callable[[Mapping[str, Any]], Iterator[Row]]:
    """Return what reads a line whose texts stand in columns of the fields' names, and whose label is one word."""

    def rows(line: Mapping[str, Any]) -> Iterator[Row]:
        yield {"idx": line["idx"], **{name: line[name] for name in fields}, **_label(line)}

    return rows


def copa(line: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the row of a line of COPA: each alternative begins in lower case and has no full stop (2009.07118)."""
    both = [line[name].rstrip().rstrip(".!?") for name in ("choice1", "choice2")]
    yield {
        "idx": line["idx"],
        "premise": line["premise"],
        "connective": {"cause": "because", "effect": "so"}[line["question"]],
        "choices": [text[:1].lower() + text[1:] for text in both],
        **_label(line),
    }


def wsc(line: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the row of a line of WSC, with stars around the pronoun."""
    target, words = line["target"], line["text"].split()
    place = target["span2_index"]
    words[place] = f"*{words[place]}*"
    texts = {"text": " ".join(words), "pronoun": target["span2_text"], "noun": target["span1_text"]}
    yield {"idx": line["idx"], **texts, **_label(line)}


def multirc(line: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row for each answer to each question about a passage."""
    passage = line["passage"]
    for question in passage["questions"]:
        for answer in question["answers"]:
            idx = f"{line['idx']}-{question['idx']}-{answer['idx']}"
            texts = {"passage": passage["text"], "question": question["question"], "answer": answer["text"]}
            yield {"idx": idx, **texts, **({"label": bool(answer["label"])} if "label" in answer else {})}


def record(line: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row for each query about a passage; of several right entities the label is the first."""
    text = line["passage"]["text"]
    entities = [text[one["start"] : one["end"] + 1] for one in line["passage"]["entities"]]
    choices = list(dict.fromkeys(entities))
    for query in line["qas"]:
        before, after = query["query"].split("@placeholder", 1)
        answers = list(dict.fromkeys(one["text"] for one in query.get("answers", ())))
        right = [i for i, choice in enumerate(choices) if choice in answers]
        yield {
            "idx": query["idx"],
            "passage": text.replace("@highlight\n", "- "),
            "before": before.rstrip(),
            "choices": choices,
            "after": after,
            **({"answers": answers} if answers else {}),
            **({"label": right[0]} if right else {}),
        }


def _label(line: Mapping[str, Any]) -> Row:
    return {"label": line["label"]} if "label" in line else {}

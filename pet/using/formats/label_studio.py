"""Label Studio: tasks with predictions, the labeling interface, and the annotations of an export.

Source: the Label Studio task format (https://labelstud.io/guide/task_format.html), and its pages about predictions and
the tag Choices.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from pet.data.writers import write_table
from pet.using.formats.rows import LabeledSet
from pet.using.formats.said import Said

CHOICES = "label"
"""The name of the labeling interface's choices."""


def write_label_studio(labeled: LabeledSet, folder: Path) -> None:
    """Write ``tasks.json`` and ``label_config.xml``: predictions with scores; gold rows have an annotation."""
    rows = labeled.given_rows()
    first = next(iter(rows[0].fields))
    tasks: dict[str, list[Any]] = {"data": [], "predictions": [], "annotations": []}
    for row in rows:
        tasks["data"].append({"pet_id": row.id, "pet_run": labeled.run, **row.fields})
        result = [{"from_name": CHOICES, "to_name": first, "type": "choices", "value": {"choices": [row.label]}}]
        given = {"result": result, "was_cancelled": False, "ground_truth": True}
        predicted = {"model_version": "pet", "score": row.confidence, "result": result}
        tasks["predictions"].append([] if row.gold else [predicted])
        tasks["annotations"].append([given] if row.gold else [])
    write_table(folder / "tasks.json", tasks)
    (folder / "label_config.xml").write_text(label_config(list(rows[0].fields), labeled.labels), encoding="utf-8")


def label_config(fields: Sequence[str], labels: Sequence[str]) -> str:
    """Return the labeling interface: the texts, and a choice of one label."""
    texts = [f'  <Text name={quoteattr(name)} value={quoteattr("$" + name)} valueType="text"/>' for name in fields]
    choices = [f"    <Choice value={quoteattr(label)}/>" for label in labels]
    return "\n".join(
        [
            "<View>",
            *texts,
            f'  <Choices name="{CHOICES}" toName={quoteattr(fields[0])} choice="single">',
            *choices,
            "  </Choices>",
            "</View>",
            "",
        ]
    )


def said_in_task(task: Mapping[str, Any]) -> Said:
    """Return what people say of a task of an export, in the full form (JSON) or the short one (JSON-MIN).

    Annotations that were cancelled (skipped) say nothing.
    """
    data = task.get("data", task)
    if "annotations" not in task:
        return Said(data, _choices(task.get(CHOICES)), [str(task.get("annotator", ""))])
    done = [one for one in task["annotations"] if not one.get("was_cancelled")]
    results = [(result, one) for one in done for result in one.get("result") or [] if result.get("type") == "choices"]
    labels = [_choices(result["value"]) for result, _ in results]
    several = [found[0] if len(found) == 1 else None for found in labels if found]
    people = [_person(one) for (_, one), found in zip(results, labels, strict=True) if found]
    return Said(data, several, people)


def _choices(value: Any) -> list[str]:
    """Return the labels of a result: a text, or a list of texts, perhaps under "choices"."""
    found = value.get("choices", []) if isinstance(value, Mapping) else value
    return [found] if isinstance(found, str) else list(found or [])


def _person(annotation: Mapping[str, Any]) -> str:
    by = annotation.get("completed_by", "")
    return str(by.get("email") or by.get("id") or "") if isinstance(by, Mapping) else str(by)

"""Is it to be trusted? Three sentences with figures; and every way to label side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pet.labeling.analysis import BINS, interval
from pet.method.summary import DISTILLED, SIMPLER
from pet.reports.html.page import Section
from pet.reports.html.report import Report
from pet.reports.html.show import counted, percent

SURE = 0.9
"""A label of such a confidence is called sure."""


@dataclass(frozen=True)
class Fact:
    """A figure, and the sentence that says what it means."""

    figure: str
    title: str
    sentence: str
    share: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Way:
    """One way to label: what it is worth on test rows, or on gold rows held out, with a 95 % interval."""

    name: str
    kind: str
    accuracy: float | None
    low: float
    high: float
    macro_f1: float | None
    held_out: float | None
    agreement: float | None


def trust(report: Report) -> Section:
    """Say whether the labels are right, whether their confidence says so, and whether something simpler would do."""
    facts = [_accuracy(report), _confidence(report), _simpler(report)]
    return Section("trust", "Is it to be trusted?", [fact for fact in facts if fact])


def simpler(report: Report) -> Section:
    """Set every way to label side by side."""
    summary = report.metrics["summary"]
    ways = [_way(row, summary) for row in summary["rows"]]
    content = {
        "ways": ways,
        "tested": any(row["test"] for row in summary["rows"]),
        "held_out": summary["held_out_rows"] if any(way.held_out is not None for way in ways) else 0,
        "test": report.metrics["rows"]["test"],
        "compared": summary["agreement_rows"],
        "verdict": report.metrics.get("verdict"),
    }
    return Section("simpler", "What is simpler, side by side", content)


def _way(row: Mapping[str, Any], summary: Mapping[str, Any]) -> Way:
    test, held = row["test"], row["held_out_accuracy"]
    rows = test["n"] if test else summary["held_out_rows"]
    share = test["accuracy"] if test else held
    low, high = interval(round(share * rows), rows) if share is not None else (0.0, 1.0)
    kind = "ours" if row["name"] in (DISTILLED, "ensemble") else "simpler" if row["name"] in SIMPLER else "part"
    return Way(row["name"], kind, share, low, high, test and test["macro_f1"], held, row["agreement"])


def _lines(report: Report) -> dict[str, Mapping[str, Any]]:
    return {row["name"]: row for row in report.metrics["summary"]["rows"]}


def _accuracy(report: Report) -> Fact:
    lines, ensemble = _lines(report), _lines(report).get("ensemble", {})
    if test := lines.get(DISTILLED, {}).get("test"):
        low, high = interval(round(test["accuracy"] * test["n"]), test["n"])
        taught = f"; the ensemble that taught it on {percent(ensemble['test']['accuracy'])}" if ensemble else ""
        sentence = (
            f"The classifier is right on {percent(test['accuracy'])} of {counted(test['n'], 'test row')} (95% interval "
            f"{percent(low, 0)} to {percent(high, 0)}){taught}."
        )
        return Fact(percent(test["accuracy"]), "right", sentence, test["accuracy"], low, high)
    rows, share = report.metrics["summary"]["held_out_rows"], ensemble.get("held_out_accuracy")
    if share is None:
        rows, share = _held_out(report)
    if share is not None:
        low, high = interval(round(share * rows), rows)
        sentence = (
            f"On {counted(rows, 'labeled row')}, each asked of voters that had not learned it, the ensemble is right "
            f"on {percent(share)} (95% interval {percent(low, 0)} to {percent(high, 0)}); there are no test rows."
        )
        return Fact(percent(share), "right", sentence, share, low, high)
    return Fact(
        "?",
        "not measured",
        "Nothing has measured these labels: give a test file, or 8 labeled rows of each label, or read some of them "
        "before you rely on them.",
    )


def _held_out(report: Report) -> tuple[int, float | None]:
    """Return how many gold rows the deciding generation was measured on, and how it did."""
    kept = [one for one in report.metrics["generations"] if not one["rejected"]]
    return (kept[-1]["held_out_rows"], kept[-1]["held_out_accuracy"]) if kept else (0, None)


def _confidence(report: Report) -> Fact | None:
    """Say how many labels are sure, and whether sure ones are right."""
    found = report.analysis.get("confidence")
    if not found:
        return None
    counts = found["counts"]
    sure = sum(counts[round(SURE * len(counts)) :]) / max(1, sum(counts))
    sentence = f"{percent(sure)} of the pool have a label of confidence {SURE:g} or more"
    known = report.analysis.get("reliability")
    first = round(SURE * BINS)
    if known and (rows := sum(known["counts"][first:])):
        right = sum(known["counts"][i] * (known["accuracy"][i] or 0.0) for i in range(first, BINS)) / rows
        sentence += (
            f"; of {counted(rows, known['rows'].split()[0] + ' row')} with such a label {percent(right)} are right, "
            f"and over all the confidence is off by {percent(known['expected_calibration_error'])} on average."
        )
    else:
        differ = counted(report.analysis["disagreed_rows"], "row")
        sentence += f"; how often such labels are right is not measured, and the voters differ on {differ}."
    return Fact(percent(sure), "sure", sentence)


def _simpler(report: Report) -> Fact:
    """Say whether something simpler would have done better."""
    lines, short = _lines(report), ""
    ours = lines.get(DISTILLED) or {}
    tests = {name: row["test"]["accuracy"] for name, row in lines.items() if row["test"] and name in SIMPLER}
    held = {name: row["held_out_accuracy"] for name, row in lines.items() if name in SIMPLER}
    if ours.get("test") and tests:
        short = _points(ours["test"]["accuracy"] - max(tests.values()))
    elif (share := lines.get("ensemble", {}).get("held_out_accuracy")) is not None:
        others = [value for value in held.values() if value is not None]
        short = _points(share - max(others)) if others else ""
    otherwise = (
        "all ways to label stand below, side by side" if short else "nothing simpler was tried: see run.baseline"
    )
    said = report.metrics.get("verdict") or otherwise
    title = "points over the best of what is simpler" if short else "not compared"
    return Fact(short or "?", title, f"{said[:1].upper()}{said[1:]}.")


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "−")

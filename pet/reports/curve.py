"""Learning curves for a terminal: a table each, and one sentence."""

from pet.labeling.curve import LearningCurve
from pet.method.curve import Curve
from pet.reports.columns import columns


def curve_lines(found: Curve) -> list[str]:
    """Return the accuracies by the number of rows, with intervals, and what more rows are expected to bring."""
    lines = []
    if found.labeled is not None:
        lines += [*_table("labeled rows per label", found.labeled, found.labels), ""]
    if found.unlabeled is not None:
        lines += [*_table("unlabeled rows", found.unlabeled, 1), ""]
    lines.append(found.sentence)
    return [*lines, found.why] if found.labeled is not None and found.why else lines


def _table(name: str, curve: LearningCurve, unit: int) -> list[str]:
    rows = [(name, "accuracy", "95 % interval")]
    for point in curve.points:
        found = point.accuracy
        count = f"{point.rows / unit:,.{1 if unit > 1 else 0}f}"
        rows.append((count, f"{100 * found.value:.1f}", f"{100 * found.low:.1f} to {100 * found.high:.1f}"))
    gain = curve.gain
    more = f"{(curve.now + curve.more) / unit:,.0f} expected"
    rows.append((more, f"{100 * gain.value:+.1f}", f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}"))
    return columns(rows, 1)

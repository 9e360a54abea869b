"""Files as people have them: thirty and more, each with what every command has to do with it. The next is one more row.

A file has four rows of "Sports" and "Business", unless its row says otherwise; `refused` are words of the one sentence
that tells what is wrong with it.
"""

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import datasets
import pandas
import pyarrow
import pyarrow.parquet

TEXTS = ("the team won a match", "my bank and the money", "coach, goal and score", 'the "market" of shares')
GIVEN = ("Sports", "Business", "Sports", "Business")


@dataclass(frozen=True)
class Awkward:
    """A file: its name, its content, and what comes of it.

    `labels` counts the labeled rows; `rows` are those that are labeled by `pet predict`, where they are others. `told`
    are words that `pet check` says of it, `sets` the settings that name its columns. A `refused` file is refused for
    training; as what is to be labeled it may do all the same.
    """

    file: str
    content: bytes
    labels: Mapping[str, int] = field(default_factory=lambda: {"Business": 2, "Sports": 2})
    rows: int | None = None
    told: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def predicted(self) -> int:
        """How many rows are labeled, 0 where the file is refused."""
        return (0 if self.refused else sum(self.labels.values())) if self.rows is None else self.rows


def table(mark: str = ",", end: str = "\n", **columns: tuple[object, ...]) -> str:
    """Return the four rows as separated values, quoted where they have to be."""
    frame = pandas.DataFrame({"text": TEXTS, "label": GIVEN} | columns)
    return str(frame.to_csv(sep=mark, index=False, lineterminator=end))


def lines(**columns: object) -> str:
    """Return the four rows as JSON lines, with the same values in more columns, or others in the place of theirs."""
    rows = ({"text": text, "label": label} | columns for text, label in zip(TEXTS, GIVEN, strict=True))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def relabeled(*labels: object) -> str:
    """Return the four texts with other labels, as JSON lines."""
    rows = ({"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=True))
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(frame: Any) -> bytes:
    """Return a frame, or an Arrow table, as Parquet."""
    stream = io.BytesIO()
    if isinstance(frame, pandas.DataFrame):
        frame.to_parquet(stream)
    else:
        pyarrow.parquet.write_table(frame, stream)
    return stream.getvalue()


def class_label(*numbers: int) -> bytes:
    """Return the four texts as `datasets` writes them, with numbers that have names."""
    datasets.disable_progress_bars()
    kind = datasets.ClassLabel(names=["Sports", "Business"])
    features = datasets.Features({"text": datasets.Value("string"), "label": kind})
    stream = io.BytesIO()
    datasets.Dataset.from_dict({"text": TEXTS, "label": numbers}, features=features).to_parquet(stream)
    return stream.getvalue()


@cache
def corpus() -> dict[str, Awkward]:
    """Return all files by what is awkward about them."""
    return {**_bytes_and_lines(), **_separated(), **_json(), **_exports(), **_labels(), **_typed()}


def _bytes_and_lines() -> dict[str, Awkward]:
    plain = table()
    return {
        "a byte order mark": Awkward("t.csv", plain.encode("utf-8-sig")),
        "line ends of Windows": Awkward("t.csv", table(end="\r\n").encode()),
        "line ends of old Macs": Awkward("t.csv", table(end="\r").encode()),
        "blank lines": Awkward("t.csv", ("\n" + plain.replace("\n", "\n\n")).encode()),
        "packed": Awkward("t.csv.gz", gzip.compress(plain.encode())),
        "a name in capitals": Awkward("T.CSV", plain.encode()),
        "UTF-16 of a spreadsheet": Awkward("t.csv", plain.encode("utf-16"), refused=("looks like UTF-16", "iconv")),
        "Latin-1": Awkward("t.csv", "text,label\nok,x\ncafé,y\n".encode("latin-1"), refused=("line 3", "not UTF-8")),
        "a workbook with a false name": Awkward("t.csv", b"PK\x03\x04" + bytes(40), refused=("Excel workbook",)),
        "a workbook": Awkward("t.xlsx", b"PK\x03\x04", refused=("no whole Excel workbook",)),
        "packed under a false name": Awkward("t.csv", gzip.compress(plain.encode()), refused=("end in .gz",)),
        "a NUL": Awkward("t.csv", (plain + "a\0b,Sports\n").encode(), refused=("line 6", "a NUL character")),
        "nothing": Awkward("t.csv", b"", refused=("has no rows",)),
    }


def _separated() -> dict[str, Awkward]:
    stray = 'text,label\none two,Sports\n"three four,Business\nfive six,Sports\nseven eight",Business\n'
    bare = 'text\tlabel\n"Up" is good\tSports\n"a film\tBusiness\na game"\tSports\na bank\tBusiness\n'
    return {
        "semicolons": Awkward("t.csv", table(";").encode()),
        "tabs in a .csv": Awkward("t.csv", table("\t").encode()),
        "a separator that is named": Awkward("t.csv", f"sep=;\r\n{table(';')}".encode()),
        "bars": Awkward("t.csv", b"text|label\na|Sports\n", refused=("separated by '|'",)),
        "texts of several lines": Awkward("t.csv", table(text=("a,\nb", "c\n\nd, e", "f\r\ng", "h")).encode()),
        "a quote that holds rows together": Awkward("t.csv", stray.encode(), refused=("line 3: a quote opens here",)),
        "a quote that never closes": Awkward(
            "t.csv", b'text,label\na,Sports\n"b,Sports\n', refused=("line 3", "never closes")
        ),
        "quotes that are signs of the text": Awkward("t.tsv", bare.encode()),
        "a row that is too long": Awkward("t.csv", (table() + "a,b,c\n").encode(), refused=("line 6: 3 values",)),
        "an index without a name": Awkward(
            "t.csv", str(pandas.DataFrame({"text": TEXTS, "label": GIVEN}).to_csv()).encode()
        ),
        "formulas": Awkward("t.csv", table(text=("=1+1", "@SUM(A1)", "-2", '=HYPERLINK("x")')).encode()),
        "names of our columns": Awkward("t.csv", table(confidence=(1, 2, 3, 4), prob_Sports=(1, 0, 1, 0)).encode()),
    }


def _json() -> dict[str, Awkward]:
    frame = pandas.DataFrame({"text": TEXTS, "label": GIVEN})
    wrapped = json.dumps({"version": 1, "data": json.loads(frame.to_json(orient="records"))})
    deep = lines().replace("}\n", ', "deep": ' + "[" * 70 + "]" * 70 + "}\n", 1)
    return {
        "objects without keys": Awkward("t.jsonl", lines(meta={}, more=[{}], within={"a": {}}).encode()),
        "values of mixed kinds": Awkward(
            "t.jsonl", (lines(n=1) + lines(n="x", m=[1])).encode(), {"Business": 4, "Sports": 4}
        ),
        "whole numbers of any size": Awkward("t.jsonl", lines(n=2**80).encode()),
        "NaN and infinity": Awkward("t.jsonl", lines(n=float("nan"), m=float("inf")).encode()),
        "half a surrogate pair": Awkward(
            "t.jsonl", b'{"text": "\\ud83d", "label": "Sports"}\n', refused=("surrogate",)
        ),
        "lists within lists": Awkward("t.jsonl", deep.encode(), refused=("line 1", "within each other")),
        "a list of objects": Awkward("t.json", frame.to_json(orient="records").encode()),
        "a table by columns": Awkward("t.json", frame.to_json().encode(), refused=('orient="records"',)),
        "a list under a key": Awkward("t.json", wrapped.encode(), refused=("'data' has to stand alone",)),
        "lines under the name of a list": Awkward("t.json", lines().encode(), refused=(".jsonl",)),
    }


def _exports() -> dict[str, Awkward]:
    doccano = [{"id": 1, "text": text, "label": [], "meta": {}, "Comments": []} for text in TEXTS]
    studio = [
        {"id": n, "data": {"text": text}, "annotations": [{"result": [{"value": {"choices": [label]}}]}]}
        for n, (text, label) in enumerate(zip(TEXTS, GIVEN, strict=True))
    ]
    flat = table(annotator=(1, 1, 1, 1), lead_time=(1.5, 2.5, 3.5, 4.5)).replace("label", "sentiment", 1)
    return {
        "doccano without labels": Awkward(
            "t.jsonl", "".join(json.dumps(row) + "\n" for row in doccano).encode(), rows=4, refused=("the label is []",)
        ),
        "doccano with several labels": Awkward(
            "t.jsonl", lines(label=["Sports", "Tech"]).encode(), rows=4, refused=("['Sports', 'Tech'], not one word",)
        ),
        "Label Studio's own JSON": Awkward("t.json", json.dumps(studio).encode(), refused=("'data'", "column")),
        "Label Studio's CSV": Awkward("t.csv", flat.encode(), sets=("task.label_column=sentiment",)),
        "columns of another language": Awkward(
            "t.csv",
            table(";").replace("text;label", "Inhalt;Cate\u0301gorie").encode("utf-8-sig"),
            sets=("task.fields.text=Inhalt", "task.label_column=Cat\u00e9gorie"),
        ),
        "one text a line": Awkward("t.txt", "\n".join(TEXTS).encode(), rows=4, refused=("no column 'label'",)),
    }


def _labels() -> dict[str, Awkward]:
    cafe = {"caf\u00e9": 2, "hotel": 2}
    return {
        "truths": Awkward("t.jsonl", relabeled(True, False, "True", "FALSE").encode(), {"false": 2, "true": 2}),
        "truths in a table": Awkward(
            "t.csv", table(label=(True, False, True, False)).encode(), {"false": 2, "true": 2}
        ),
        "whole numbers with a point": Awkward("t.csv", table(label=(1.0, 0.0, 1.0, 0.0)).encode(), {"0": 2, "1": 2}),
        "letters in two forms": Awkward(
            "t.jsonl", relabeled("caf\u00e9", "hotel", "cafe\u0301", "hotel").encode(), cafe
        ),
        "signs without a width": Awkward(
            "t.jsonl", relabeled("caf\u00e9", "hotel\u200b", "caf\u00e9\ufeff", "hotel").encode(), cafe
        ),
        "labels that look the same": Awkward(
            "t.jsonl", relabeled("a b", "a\u00a0b", "a b", "c").encode(), rows=4, refused=("'a b' 2 times",)
        ),
        "labels that differ by their case": Awkward(
            "t.jsonl",
            relabeled("Sports", "sports", "Sports", "x").encode(),
            {"Sports": 2, "sports": 1, "x": 1},
            told=("is 'Sports' meant?",),
        ),
        "an empty label": Awkward(
            "t.csv", table(label=(*GIVEN[:3], None)).encode(), rows=4, refused=("line 5: no label",)
        ),
        "a label for all": Awkward("t.csv", table(label=("Sports",) * 4).encode(), rows=4, refused=("at least two",)),
        "the same id twice": Awkward(
            "t.csv", table(id=(1, 2, 2, 3)).encode(), rows=4, refused=("the id '2' stands in line 3",)
        ),
        "signs that steer a terminal": Awkward(
            "t.jsonl", lines(id="\x1b[31m\u202e").encode(), rows=4, refused=("already",)
        ),
    }


def _typed() -> dict[str, Awkward]:
    frame = pandas.DataFrame({"text": TEXTS, "label": GIVEN})
    times = pandas.to_datetime(["2020-01-01 00:00:00.123456789"] * 4)
    far = pyarrow.table({"text": TEXTS, "label": GIVEN, "when": pyarrow.array([2**60] * 4, pyarrow.timestamp("us"))})
    odd = {"raw": [b"\x00\xff"] * 4, "pairs": pyarrow.array([[("a", 1)]] * 4, pyarrow.map_("string", "int64"))}
    return {
        "numbers that datasets names": Awkward("t.parquet", class_label(0, 1, 0, 1)),
        "a named number that is none": Awkward(
            "t.parquet", class_label(0, 1, 0, -1), rows=4, refused=("row 4: no label",)
        ),
        "categories of pandas": Awkward("t.parquet", parquet(frame.astype({"label": "category"}))),
        "an index of pandas": Awkward("t.parquet", parquet(frame.set_index(pandas.Index([7, 8, 9, 9])))),
        "nanoseconds": Awkward("t.parquet", parquet(frame.assign(when=times))),
        "years after 9999": Awkward("t.parquet", parquet(far)),
        "bytes and maps": Awkward("t.parquet", parquet(pyarrow.table({"text": TEXTS, "label": GIVEN} | odd))),
        "half a file": Awkward("t.parquet", parquet(frame)[:200], refused=("no whole Parquet file",)),
    }

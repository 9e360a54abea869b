"""Text for pretraining: which files are one source, and what of a file is a document."""

import gzip
import json
from pathlib import Path

import pytest

from pet.errors import ConfigError, DataError
from pet.pretraining.text import TextSource, documents, text_sources


def test_documents_are_lines_or_the_texts_of_rows(tmp_path: Path) -> None:
    lines, rows = tmp_path / "a.txt.gz", tmp_path / "b.jsonl"
    lines.write_bytes(gzip.compress(b"one\n\n  two \n"))
    table = [{"premise": "three", "hypothesis": "four", "label": "x"}, {"premise": "five", "hypothesis": "six"}]
    rows.write_text("".join(json.dumps(row) + "\n" for row in table))
    assert list(documents(str(lines))) == ["one", "two"]
    assert list(documents(str(rows), ["premise", "hypothesis"])) == ["three", "four", "five", "six"]
    assert list(documents(str(rows), ["hypothesis"])) == ["four", "six"]
    with pytest.raises(DataError, match=r"which columns hold the text.*text\.columns"):
        list(documents(str(rows)))


def test_files_of_one_name_are_one_source_and_the_held_out_file_is_none(tmp_path: Path) -> None:
    files = ["x/news-01.txt", "y/news-02.txt.gz", "old=x/2024.txt", f"{tmp_path}/valid.txt", "talk.txt:0.25"]
    assert text_sources(files, {"n*": 0.5}, str(tmp_path / "valid.txt")) == [
        TextSource("news", ("x/news-01.txt", "y/news-02.txt.gz"), 0.5),
        TextSource("old", ("x/2024.txt",), None),
        TextSource("talk", ("talk.txt",), 0.25),
    ]
    assert text_sources(["2024.txt"], {})[0].name == "2024"


@pytest.mark.parametrize(
    ("files", "shares", "reason"),
    [
        ([], {}, "No text is named"),
        (["a.txt:1.5"], {}, "share 1.5, expected more than 0"),
        (["a.txt:0.6", "b.txt:0.6"], {}, "sum to 1.2, expected at most 1"),
        (["news-1.txt:0.5", "news-2.txt:0.2"], {}, "'news' are one source with two shares, 0.5 and 0.2"),
        (["a.txt:0.6"], {}, "of all sources sum to 0.6, expected 1"),
        (["news.txt"], {"nesw": 0.5}, "no source is called 'nesw'. Did you mean news"),
    ],
)
def test_shares_that_cannot_be(files: list[str], shares: dict[str, float], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        text_sources(files, shares)


def test_rows_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    said: list[str] = []
    path.write_text('{"text": "one"}\n{"text": ""}\n{"text": "two"}\nnone\n')
    assert list(documents(str(path), say=said.append)) == ["one", "two"]
    assert len(said) == 1 and said[0].startswith(f"2 of 4 rows of {path} left out, such as number 2: ")


def test_a_held_out_file_alone_is_no_text_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.txt is the text that is held out, and there is no other"):
        text_sources(["a.txt"], {}, "a.txt")
    with pytest.raises(ConfigError, match="No text is named"):
        text_sources([], {}, "a.txt")

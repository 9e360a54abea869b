"""Opening files: missing ones, broken gzip data and gzip bombs."""

import gzip
import os
from pathlib import Path

import pytest
from data_files import Refused, Write
from reading import read_rows

from pet.data import streams
from pet.data.source import File
from pet.data.streams import open_binary, text_lines
from pet.errors import shown


def lines(source: Path | str) -> list[str]:
    return [line for _, line in text_lines(File.at(source))]


def test_a_missing_file_names_the_near_ones(write: Write, refused: Refused) -> None:
    write("train.jsonl.gz", "{}")
    missing = write("x.csv", "").replace("x.csv", "trian.jsonl.gz")
    with refused(missing, "Did you mean train.jsonl.gz?"):
        lines(missing)


def test_a_missing_folder_is_said(tmp_path: Path, refused: Refused) -> None:
    with refused(str(tmp_path / "nowhere" / "a.csv"), "folder", "does not exist"):
        lines(tmp_path / "nowhere" / "a.csv")


def test_a_folder_is_no_file(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "a.csv").mkdir()
    with refused(str(tmp_path / "a.csv"), "cannot be read"):
        lines(tmp_path / "a.csv")


def test_a_name_too_long_for_the_system_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("No file"):
        lines(tmp_path / ("a" * 300 + ".csv"))


def test_a_file_that_may_not_be_read_is_said(write: Write, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def forbidden(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    source = write("a.csv", "text\na\n")
    monkeypatch.setattr(Path, "open", forbidden)
    with refused(source, "Permission denied"):
        lines(source)


def test_a_cut_gzip_file_is_refused(write: Write, tmp_path: Path, refused: Refused) -> None:
    whole = gzip.compress(os.urandom(20_000).hex().encode())
    (tmp_path / "cut.txt.gz").write_bytes(whole[: len(whole) // 2])
    with refused("cut.txt.gz", "gzip"):
        lines(tmp_path / "cut.txt.gz")


def test_a_gzip_file_with_wrong_bytes_is_refused(tmp_path: Path, refused: Refused) -> None:
    whole = bytearray(gzip.compress(os.urandom(20_000).hex().encode()))
    whole[5000:5100] = bytes(100)
    (tmp_path / "hurt.txt.gz").write_bytes(whole)
    with refused("hurt.txt.gz", "gzip"):
        lines(tmp_path / "hurt.txt.gz")


def test_a_gzip_file_with_an_impossible_block_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "hurt.txt.gz").write_bytes(gzip.compress(b"a\n")[:10] + b"\xff" * 20)
    with refused("hurt.txt.gz", "gzip"):
        lines(tmp_path / "hurt.txt.gz")


def test_plain_text_named_gz_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "plain.csv.gz").write_text("text\na\n")
    with refused("plain.csv.gz", "gzip"):
        lines(tmp_path / "plain.csv.gz")


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(streams, "GZ_FREE_BYTES", 1000)
    source = write("bomb.txt.gz", "a" * 1_000_000)
    with refused(source, "unpacks to more than"):
        lines(source)


def test_no_file_unpacks_to_more_than_the_most(write: Write, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setattr(streams, "GZ_MAX_BYTES", 1000)
    source = write("big.txt.gz", os.urandom(1000).hex())
    with refused(source, "unpacks to more than 1000 bytes"):
        lines(source)


def test_a_small_file_may_be_packed_as_well_as_it_likes(write: Write) -> None:
    assert len(lines(write("zeros.txt.gz", "0" * 2_000_000))[0]) == 2_000_000


def test_a_bomb_is_also_refused_as_parquet(write: Write, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setattr(streams, "GZ_FREE_BYTES", 1000)
    source = write("bomb.parquet.gz", "a" * 1_000_000)
    with refused(source, "unpacks to more than"):
        list(read_rows(Path(source)))


def test_the_caps_are_those_promised() -> None:
    assert (streams.GZ_MAX_BYTES, streams.GZ_FREE_BYTES, streams.GZ_MAX_RATIO) == (4 << 30, 64 << 20, 200)


def test_files_of_several_gzip_members_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "two.txt.gz").write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))
    assert lines(tmp_path / "two.txt.gz") == ["a\n", "b\n"]


def test_a_mark_is_dropped_at_the_start_only(write: Write) -> None:
    assert lines(write("a.txt", "\ufeffa\n\ufeffb")) == ["a\n", "\ufeffb"]


def test_lines_end_at_line_feeds_only(write: Write) -> None:
    assert lines(write("a.txt", "a\u2028b\x0bc\x85d\re\r\nf")) == ["a\u2028b\x0bc\x85d\re\r\n", "f"]


def test_the_file_is_closed_when_the_reader_stops_early(write: Write) -> None:
    with open_binary(File.at(write("a.txt.gz", "a\nb\n"))) as stream:
        stream.readline()
    assert stream.closed


def test_values_are_shown_on_one_short_line() -> None:
    assert shown("a\nb\ud800") == r"'a\nb\ud800'"
    assert len(shown("x" * 500)) == 60

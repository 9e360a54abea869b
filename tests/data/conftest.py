"""What the tests of this room share: files written in one line, and the look of an error."""

import gzip
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from data_files import Refused, Write, WriteRows

from pet.errors import DataError


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write text or bytes (packed for .gz) under a name and return the path as a source."""

    def _write(name: str, content: str | bytes) -> str:
        raw = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return str(path)

    return _write


@pytest.fixture
def write_rows(write: Write) -> WriteRows:
    """Write rows as JSON lines and return the path as a source."""

    def _write(name: str, rows: Iterable[object]) -> str:
        return write(name, "".join(json.dumps(row) + "\n" for row in rows))

    return _write


@pytest.fixture
def refused() -> Refused:
    """Expect a `DataError` of one line that holds all the given words."""

    @contextmanager
    def _refused(*words: str) -> Iterator[None]:
        with pytest.raises(DataError) as caught:
            yield
        message = str(caught.value)
        assert message.splitlines() == [message], "a message is one line"
        assert len(message) < 900
        for word in words:
            assert word in message, f"{word!r} is not in {message!r}"

    return _refused

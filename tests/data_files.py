"""The types of what writes the files of the tests of data, and of what refuses them."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

Refused = Callable[..., AbstractContextManager[None]]
Write = Callable[[str, str | bytes], str]
WriteRows = Callable[[str, Iterable[object]], str]

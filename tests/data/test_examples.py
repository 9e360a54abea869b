"""What a task refuses to be."""

import pytest
from data_files import Refused

from pet.data.examples import Example, Task


def test_an_example_is_never_changed() -> None:
    with pytest.raises(AttributeError):
        Example("1", {"text": "a"}).label = "x"  # type: ignore[misc]


@pytest.mark.parametrize(("labels", "word"), [((), "0 label"), (("a",), "1 label")])
def test_a_task_without_two_labels_is_refused(refused: Refused, labels: tuple[str, ...], word: str) -> None:
    with refused("'t'", word):
        Task("t", labels, ("text",))

"""What a task refuses to be."""

import pytest
from data_files import Refused

from pet.data.examples import Example, Task
from pet.errors import ConfigError


def test_an_example_is_never_changed() -> None:
    with pytest.raises(AttributeError):
        Example("1", {"text": "a"}).label = "x"  # type: ignore[misc]


@pytest.mark.parametrize(("labels", "word"), [((), "0 label"), (("a",), "1 label")])
def test_a_task_without_two_labels_is_refused(refused: Refused, labels: tuple[str, ...], word: str) -> None:
    with refused("'t'", word):
        Task("t", labels, ("text",))


def test_what_is_described_is_a_label_of_the_task() -> None:
    assert Task("t", ("billing", "2"), ("text",), {"2": "a, b"}).descriptions == {"2": "a, b"}
    with pytest.raises(
        ConfigError, match=r"describes 'biling', which is no label of the task.* Did you mean billing\?"
    ):
        Task("t", ("billing", "account"), ("text",), {"biling": "invoices"})

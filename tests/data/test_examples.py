"""What a task refuses to be."""

import pytest

from pet.data.examples import Example, Task


def test_an_example_is_never_changed():
    with pytest.raises(AttributeError):
        Example("1", {"text": "a"}).label = "x"


@pytest.mark.parametrize(
    ("labels", "fields", "word"),
    [
        ((), ("text",), "0 label"),
        (("a",), ("text",), "1 label"),
        (("a", "a"), ("text",), "twice"),
        (("a", "b"), (), "field"),
    ],
)
def test_a_task_without_two_labels_or_a_field_is_refused(refused, labels, fields, word):
    with refused("'t'", word):
        Task("t", labels, fields)

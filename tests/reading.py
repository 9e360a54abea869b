"""The options with which the tests of the readers read a file."""

from pet.data.readers import ReadOptions

__all__ = ["POOL", "SKIP", "TRAIN"]

TRAIN = ReadOptions("train")
POOL = ReadOptions("unlabeled")
SKIP = ReadOptions("train", on_bad_row="skip")

"""Rows: what an example and a task are, reading and writing files of them, drawing, and keeping sets apart.

    examples    `Example`, `Task`
    rows        `Rows`: as many examples as there are, in a file of their own
    packing     examples as Arrow streams and back
    keys        texts as 16 bytes each
    streams     opening a file: packed, UTF-8
    formats     CSV, TSV, JSONL, JSON, Parquet, text
    columns     which column holds which field
    hub         data sets of the hub and their folders
    readers     a file becomes examples, or one clear error
    writers     a table becomes a file
    sampling    so many rows per label
    overlap     texts that stand in two sets
    dataset     all of it for one run: `load_task_data`

Neither torch nor transformers is imported here; pyarrow and datasets are, where a file needs them.
"""

from pet.data.dataset import TaskData, data_digest, load_task_data, load_test_rows
from pet.data.examples import Example, Task
from pet.data.formats import SUFFIXES, parquet_batches, read_rows
from pet.data.hub import is_hub_name, read_hub_rows
from pet.data.overlap import Overlap, Overlaps, find_overlaps, normalise
from pet.data.readers import ReadOptions, ReadResult, RejectedRow, Role, read_examples
from pet.data.rows import Rows, RowWriter, told_if_full, unnamed_file
from pet.data.sampling import SampleResult, limit, sample_per_label
from pet.data.streams import has_byte_order_mark
from pet.data.writers import Pieces, check_output, write_parquet, write_pieces, write_table

__all__ = [
    "SUFFIXES",
    "Example",
    "Overlap",
    "Overlaps",
    "Pieces",
    "ReadOptions",
    "ReadResult",
    "RejectedRow",
    "Role",
    "RowWriter",
    "Rows",
    "SampleResult",
    "Task",
    "TaskData",
    "check_output",
    "data_digest",
    "find_overlaps",
    "has_byte_order_mark",
    "is_hub_name",
    "limit",
    "load_task_data",
    "load_test_rows",
    "normalise",
    "parquet_batches",
    "read_examples",
    "read_hub_rows",
    "read_rows",
    "sample_per_label",
    "told_if_full",
    "unnamed_file",
    "write_parquet",
    "write_pieces",
    "write_table",
]

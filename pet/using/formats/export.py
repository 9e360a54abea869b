"""The labeled data set in another format: chosen by its name, or by the suffix of a file."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from pet.data.output import Columns, parquet_pieces
from pet.data.source import File, parse_source
from pet.data.tables import PLAIN, Dialect, dialect_of
from pet.data.writers import check_output, write_pieces
from pet.errors import ConfigError, DataError, close_match, near_matches
from pet.runs.atomic import SUCCESS, write_folder
from pet.runs.directory import RunDirectory
from pet.settings.config import RunConfig, one_label_config
from pet.using.formats.argilla import write_argilla
from pet.using.formats.arrays import write_cleanlab, write_hub
from pet.using.formats.doccano import write_doccano
from pet.using.formats.label_studio import write_label_studio
from pet.using.formats.rows import LabeledSet, Only

_WRITERS: Mapping[str, tuple[str, Callable[[LabeledSet, Path], None]]] = {
    "label-studio": ("label-studio", write_label_studio),
    "doccano": ("doccano.jsonl", write_doccano),
    "argilla": ("argilla.json", write_argilla),
    "cleanlab": ("cleanlab", write_cleanlab),
    "hub": ("hub", write_hub),
}
"""For each format the file or the folder in the run, and what writes it."""

FORMATS = tuple(_WRITERS)
"""The formats of other tools."""


def export_labels(
    run: str | Path,
    to: str,
    output: Path | None = None,
    only: Only | None = None,
    columns: Sequence[str] = (),
    *,
    force: bool = False,
) -> Path:
    """Write the labeled data set of a run in the format `to`, or as a table if that is the name of a file.

    It goes to `output`, else into the run, under the name of the format; a table goes where its name says. `only` some
    rows are written, and of a table only some `columns`. Returns the place.

    Raises `ConfigError` if there is no such format or run, or the place is taken and `force` is not given. Raises
    `DataError` if the labeled data set is missing, or has no such rows or columns, or the place cannot be written.
    """
    if to not in _WRITERS:
        return export_table(run, _table_place(to, output), only, columns, force=force)
    if columns:
        raise ConfigError(
            f"--columns are those of a table, such as --to labels.csv, and {to} has its own: leave it out."
        )
    labeled, (name, write) = LabeledSet.of(run, only), _WRITERS[to]
    one_label_config(RunDirectory(labeled.root).config_path, f"The format {to}")
    place = output or labeled.root / name
    is_folder = "." not in name
    _refuse_taken(place, force)
    if is_folder:
        write_folder(place, lambda folder: write(labeled, folder))
        (place / SUCCESS).unlink()  # the folder is handed to others
    else:
        if File.at(place).suffix != Path(name).suffix:
            raise ConfigError(f"{place} does not end in {Path(name).suffix}, as the format {to} does: rename it.")
        check_output(place)
        write(labeled, place)
    return place


def _table_place(to: str, output: Path | None) -> Path:
    if not Path(to).suffix:
        raise ConfigError(
            f"There is no format {to!r}: expected {', '.join(('onnx', *FORMATS))}, or a file such as labels.csv."
            f"{close_match(to, ('onnx', *FORMATS))}"
        )
    if output is not None:
        raise ConfigError(f"Found two places, --to {to} and --output {output}: give the file in --to alone.")
    return Path(to)


def export_table(
    run: str | Path, file: Path, only: Only | None = None, columns: Sequence[str] = (), *, force: bool = False
) -> Path:
    """Write the labeled data set as a table by the suffix of a file: some rows, and some columns in the order given.

    A .csv file has the separators of the unlabeled one. Raises as `export_labels` does.
    """
    labeled = LabeledSet.of(run, only)
    check_output(file)
    _refuse_taken(file, force)
    known = pq.read_schema(labeled.path).names
    for name in columns:
        if name not in known:
            raise DataError(f"{labeled.path} has no column {name!r}: leave it out.{near_matches(name, known)}")
    labeled.given_rows()
    write_pieces(file, lambda: _some(labeled, columns or known), _dialect(labeled.root))
    return file


def _some(labeled: LabeledSet, columns: Sequence[str]) -> Iterator[Columns]:
    needed = [*dict.fromkeys([*columns, "source"])]
    for piece in parquet_pieces(labeled.path, needed):
        kept = [labeled.only is None or (labeled.only == "gold") == (source == "gold") for source in piece["source"]]
        yield {name: [value for value, keep in zip(piece[name], kept, strict=True) if keep] for name in columns}


def _dialect(root: Path) -> Dialect:
    """Return how the unlabeled file of a run is written, if it is still there."""
    data = RunConfig.from_toml(RunDirectory(root).config_path).data
    source = data.unlabeled or data.rows
    return dialect_of(parse_source(source)) if source else PLAIN


def _refuse_taken(place: Path, force: bool) -> None:
    if os.path.lexists(place) and not force:
        raise ConfigError(f"{place} exists already: give another --output, or add --force to write it anew.")

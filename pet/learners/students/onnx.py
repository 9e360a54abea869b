"""A classifier as an ONNX file: exported by torch, quantized and run by onnxruntime, which need the extra `[onnx]`.

FOLDER/model.onnx    logits [b, k] of `input_ids`, `attention_mask` and, for some models, `token_type_ids`, each
                     int64 [b, t]; both axes are free
       config.json, tokenizer.json, ...    those of the classifier
"""

import importlib
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pet.data.examples import Example
from pet.errors import ModelError
from pet.labeling.votes import softmax
from pet.learners.models.abilities import TrialRows, ignores_padding
from pet.learners.models.batching import collate
from pet.learners.models.inference import Advance, Inference
from pet.learners.models.machine import Machine
from pet.learners.models.plain_rows import encode_rows
from pet.learners.models.shortening import joined
from pet.learners.models.sources import first_line, load_tokenizer
from pet.learners.models.splicing import Encoded
from pet.learners.students.base import ClassifierForm
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.sketch import SKETCH

ONNX_FILE = "model.onnx"

_ONE_FILE = 2**31 - 2**24
"""An ONNX file holds less than 2 GiB; larger weights lie in a second file beside it."""


@dataclass(frozen=True)
class OnnxClassifier:
    """An exported classifier on the CPU; `machine` says whether its rows are padded."""

    session: Any
    tokenizer: Any
    form: ClassifierForm
    machine: Machine = field(default_factory=lambda: Machine(torch.device("cpu"), "fp32"))

    @classmethod
    def load(cls, folder: Path, form: ClassifierForm) -> "OnnxClassifier":
        """Load an exported folder; it computes with as many threads as torch would.

        Raises `ModelError` if onnxruntime is not installed, or a file is missing or broken.
        """
        runtime = _library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        try:
            session = runtime.InferenceSession(str(folder / ONNX_FILE), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's errors have no common base
            raise ModelError(
                f"{folder / ONNX_FILE} cannot be loaded ({first_line(error)}): export it again with `pet export`."
            ) from None
        found = cls(session, load_tokenizer(folder), form)
        own = ignores_padding(TrialRows.of(found.tokenizer, form.max_length), found._row_logits)
        return found if own else replace(found, machine=replace(found.machine, pads=False))

    def probabilities(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return label probabilities, float32 [n, k], in the order of `examples`; only chunks are held as tokens."""
        form = self.form

        def encode(rows: Sequence[Example]) -> list[Encoded]:
            return encode_rows(self.tokenizer, rows, tuple(form.columns), form.max_length, form.truncation)

        passes = Inference(self.machine, encode, self._row_logits, joined(form.windows))
        return softmax(passes.run(examples, len(form.labels), advance))

    def _row_logits(self, rows: Sequence[Encoded]) -> torch.Tensor:
        """Return the logits of rows, float32 [b, k]."""
        names = {part.name for part in self.session.get_inputs()}
        batch = collate(rows, self.tokenizer.pad_token_id, "token_type_ids" in names, "cpu")
        inputs = {name: tensor.numpy() for name, tensor in batch.inputs.items() if name in names}
        return torch.from_numpy(self._logits(inputs))

    def _logits(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return float32 [b, k]; a `MemoryError` says that the batch does not fit, as torch would."""
        try:
            return np.asarray(self.session.run(["logits"], inputs)[0])
        except Exception as error:  # the runtime's errors have no common base
            if any(words in str(error) for words in ("allocate memory", "bad allocation", "bad_alloc")):
                raise MemoryError(first_line(error)) from None
            raise


def export_onnx(classifier: TextClassifier, source: Path, target: Path) -> None:
    """Write a classifier, loaded from `source` in float32 on the CPU, as an ONNX folder.

    Raises `ModelError` if the extra is not installed, or torch cannot export the model.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        _library(name)
    _start(target, source)
    with _quiet():
        _export(classifier, target / ONNX_FILE)


def quantize_onnx(exact: Path, target: Path, *, careful: bool) -> None:
    """Write an exported folder with its matrices in int8, and what they multiply while it runs (dynamic quantization).

    The embeddings stay as they are: one scale for all words costs more labels than their size is worth. `careful` also
    leaves out matrices with more inputs than outputs. These close a feed-forward block, and the few large activations
    in front of them are what a single scale rounds worst (measured: 98.8 % of the labels are kept with them, all
    without).

    Raises `ModelError` if the extra is not installed.
    """
    quantization = _library("onnxruntime.quantization")
    graph = _library("onnx").load(exact / ONNX_FILE, load_external_data=False).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul" and len(shapes.get(node.input[1], ())) == 2]
    closing = [node.name for node in products if shapes[node.input[1]][0] > shapes[node.input[1]][1]]
    _start(target, exact)
    with _quiet():
        quantization.quantize_dynamic(
            exact / ONNX_FILE,
            target / ONNX_FILE,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=closing if careful else [],
            per_channel=True,
            reduce_range=True,  # processors without VNNI would overflow
            weight_type=quantization.QuantType.QInt8,
            use_external_data_format=any(exact.glob("*.data")),
        )


def _start(target: Path, source: Path) -> None:
    """Make a folder with the config and the tokenizer of another, and no graph yet."""
    target.mkdir(parents=True, exist_ok=True)
    for path in target.glob(f"{ONNX_FILE}*"):  # weights beside a graph would be added to those of an earlier one
        path.unlink()
    for path in source.glob("*.json"):
        shutil.copyfile(path, target / path.name)
    if (source / SKETCH).is_file():
        (target / SKETCH).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / SKETCH, target / SKETCH)


class _Logits(nn.Module):
    """A model whose inputs have an order and whose output is one tensor, as a graph has them."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, tuple(names)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return logits [b, k]."""
        logits: torch.Tensor = self.model(**dict(zip(self.names, inputs, strict=True))).logits
        return logits


@torch.no_grad()
def _export(classifier: TextClassifier, file: Path) -> None:
    backbone = classifier.backbone
    # Two rows of unlike length, so that no axis of one and no mask without padding is taken for a constant.
    rows = [Example("0", dict.fromkeys(classifier.form.columns, text)) for text in ("a", "a a a a a a a a")]
    inputs = backbone.batch(classifier.encode(rows)).inputs
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    try:
        torch.onnx.export(
            _Logits(backbone.model, tuple(inputs)).eval(),
            tuple(inputs.values()),
            str(file),
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes=((axes,) * len(inputs),),
            dynamo=True,
            external_data=4 * int(backbone.model.num_parameters()) > _ONE_FILE,
            verbose=False,
        )
    except Exception as error:  # many kinds, and each means that this model has no graph
        kind = backbone.model.config.model_type
        raise ModelError(f"torch cannot export this {kind!r} model to ONNX ({first_line(error)}).") from error


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        missing = name.partition(".")[0]
        raise ModelError(
            f"ONNX needs {missing}, which is not installed: install the extra, pip install 'pet-labeling[onnx]'."
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about torchvision, deprecations and constant folding from the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

"""The static student: the mean of a text's token vectors and a linear layer; no attention, no order of words.

The vectors start as the word embeddings of a pretrained model and train with the layer. A mean and a linear layer
commute, so that once trained both are folded into one table, the scores that each token gives to each label: what is
kept is [v, k] numbers (v: size of the vocabulary) instead of [v, h], and a text costs its tokenization and one sum.

    FOLDER/config.json         the labels and the form, as a stock folder has them
           model.safetensors   `scores` [v, k] and `bias` [k]
           tokenizer.json
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Encoding, Tokenizer
from torch import nn

from pet.data.examples import Example
from pet.errors import ModelError
from pet.labeling.acceptance import AcceptanceCurve
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import row_chunks
from pet.learners.models.inference import Advance, check_finite
from pet.learners.models.losses import distillation_loss, soften
from pet.learners.models.plain_rows import segments
from pet.learners.models.shortening import shorten, shortened_lengths
from pet.learners.models.sources import ModelSource, first_line
from pet.learners.models.stopping import BestWeights, Rank, measured_every
from pet.learners.models.training import Trained, TrainLog, fit, weight_groups
from pet.learners.students.base import PLAIN, ClassifierForm, HeldOut, Learning
from pet.settings.task import Truncation
from pet.settings.training import OptimizerSettings

MODEL_TYPE = "pet-static"
"""What the config.json of such a folder says; transformers knows no such model, and says so."""


@dataclass(frozen=True)
class Bags:
    """Token ids of rows, one after the other: `ids` int32 [sum of t]; row i has those from `starts[i]` on, [n + 1]."""

    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, rows: np.ndarray) -> "Bags":
        """Return some rows, in the order given."""
        parts = [self.ids[self.starts[i] : self.starts[i + 1]] for i in rows]
        return Bags(np.concatenate([*parts, np.empty(0, np.int32)]), np.cumsum([0, *map(len, parts)]))

    def seen(self, size: int) -> np.ndarray:
        """Return the ids below `size` that occur, int64, sorted."""
        found = np.zeros(size, np.bool_)
        for part in self._parts():
            found[part] = True
        return np.flatnonzero(found)

    def rename(self, names: np.ndarray) -> None:
        """Give each id its new name, int32 [v], in place."""
        for part in self._parts():
            part[:] = names[part]

    def _parts(self) -> Iterator[np.ndarray]:
        """Yield views of the ids, a million at a time: an index is held as int64, which would be twice all of them."""
        return (self.ids[start : start + 2**20] for start in range(0, len(self.ids), 2**20))

    def mean(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the mean vector of each row, [n, d], of vectors [v, d]; that of a row without tokens is 0."""
        return nn.functional.embedding_bag(
            torch.from_numpy(self.ids).long(),
            vectors,
            torch.from_numpy(self.starts),
            mode="mean",
            include_last_offset=True,
        )


@dataclass
class StaticClassifier:
    """Scores of every token for every label: `scores` float32 [v, k], `bias` float32 [k].

    `vectors`, float32 [v, h], are the pretrained embeddings to train from; a loaded classifier has none. It works on
    the CPU, whatever the machine has: a batch is over before it would be on a GPU.
    """

    tokenizer: Tokenizer
    form: ClassifierForm
    scores: torch.Tensor
    bias: torch.Tensor
    vectors: torch.Tensor | None = None

    @classmethod
    def from_source(cls, source: ModelSource, form: ClassifierForm) -> "StaticClassifier":
        """Take the tokenizer and the word embeddings of a pretrained model; nothing is trained yet."""
        backbone = Backbone.classifier(source, form.labels, torch.device("cpu"), seed=0)
        tokenizer = Tokenizer.from_str(backbone.tokenizer.backend_tokenizer.to_str())
        form = replace(form, max_length=min(form.max_length, backbone.longest_input))
        # The same tokens as the other students read, but for the special ones: they are in every text.
        special = backbone.tokenizer.num_special_tokens_to_add(pair=len(form.columns) > 1)
        _truncate(tokenizer, form.max_length - special, form.truncation)
        tokenizer.no_padding()
        vectors = backbone.model.get_input_embeddings().weight.detach().float().clone()
        k = len(form.labels)
        return cls(_plain(tokenizer), form, torch.zeros(len(vectors), k), torch.zeros(k), vectors)

    @classmethod
    def load(cls, folder: Path, form: ClassifierForm) -> "StaticClassifier":
        """Load a folder written by `save`.

        Raises `ModelError` if a file is missing or broken, or they do not belong together.
        """
        try:
            tensors = load_file(folder / "model.safetensors")
            tokenizer = _plain(Tokenizer.from_file(str(folder / "tokenizer.json")))
            scores, bias = tensors["scores"], tensors["bias"]
        except (OSError, KeyError, SafetensorError) as error:
            raise ModelError(f"The static classifier in {folder} cannot be loaded ({first_line(error)}).") from None
        except Exception as error:  # tokenizers raises nothing more specific
            raise ModelError(f"The tokenizer.json of {folder} cannot be read ({first_line(error)}).") from None
        fits = scores.dim() == 2 and scores.shape[1] == len(bias) == len(form.labels)
        if not fits or len(scores) < tokenizer.get_vocab_size():
            raise ModelError(
                f"{folder} has scores of shape {list(scores.shape)} for {len(form.labels)} labels and "
                f"{tokenizer.get_vocab_size()} tokens: its files are of different models."
            )
        return cls(tokenizer, form, scores, bias)

    def fit(
        self,
        examples: Sequence[Example],
        targets: np.ndarray,
        settings: OptimizerSettings,
        rng: np.random.Generator,
        learning: Learning = PLAIN,
        advance: Advance = lambda _: None,
    ) -> TrainLog:
        """Train on target probabilities [n, k], as `TextClassifier.fit` does, and fold what was learned into scores.

        Raises `ModelError` if it was loaded from its folder: the vectors are not kept.
        """
        if self.vectors is None:
            raise ModelError("A saved static classifier cannot train on: distill a new one from the pretrained model.")
        bags = self.bags(examples)
        training = _Training.of(bags, _standardized(self.vectors, bags.seen(len(self.vectors))), targets.shape[1])
        loss = training.loss(bags, torch.from_numpy(soften(targets, learning.temperature)), learning.temperature)
        weights, held = training.weights(settings), learning.held_out
        if held is None or not settings.steps:
            log = fit(weights, loss, len(bags), settings, rng, advance)
        else:
            best = BestWeights(weights.tensors, lambda: self._rank(training, held), measured_every(len(held.examples)))
            log = fit(replace(weights, ends=best.ends, draws=(best,)), loss, len(bags), settings, rng, advance)
            best.look(log.updates)
            best.restore()
            log = replace(log, scored=best.measured * len(held.examples), kept=best.at)
        self.scores, self.bias = training.folded()
        return log

    def _rank(self, training: "_Training", held: HeldOut) -> Rank:
        """Compare what has been learned so far with the soft labels of rows that are held out."""
        self.scores, self.bias = training.folded()
        return held.fidelity(self.probabilities(held.examples)).rank

    def probabilities(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return label probabilities, float32 [n, k], in the order of `examples`; only a chunk is held as tokens."""
        found = np.empty((len(examples), len(self.form.labels)), np.float32)
        for chunk in row_chunks(len(examples)):
            bags = self.bags(examples[chunk])
            found[chunk] = torch.softmax(bags.mean(self.scores) + self.bias, dim=-1).numpy()
            check_finite(found[chunk], examples, chunk.start)
            advance(len(bags))
        return found

    def rescale(self, scale: float, offsets: np.ndarray) -> None:
        """Let it say `scale` * logits + `offsets` [k] from now on."""
        self.scores, self.bias = scale * self.scores, scale * self.bias + torch.from_numpy(offsets).to(self.bias)

    def accepting(self, curve: AcceptanceCurve) -> "StaticClassifier":
        """Return this classifier with a curve in its form."""
        return replace(self, form=replace(self.form, acceptance=curve))

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors and tokenizer.json."""
        folder.mkdir(parents=True, exist_ok=True)
        names = {
            "id2label": dict(enumerate(self.form.labels)),
            "label2id": {n: i for i, n in enumerate(self.form.labels)},
        }
        config = {"model_type": MODEL_TYPE, **names, "pet": self.form.stored()}
        (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        save_file({"scores": self.scores.contiguous(), "bias": self.bias.contiguous()}, folder / "model.safetensors")
        self.tokenizer.save(str(folder / "tokenizer.json"))

    def bags(self, examples: Sequence[Example]) -> Bags:
        """Tokenize rows without special tokens; those spelled in the text stay text."""
        ids, lengths = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
        for chunk in row_chunks(len(examples)):  # so that no more than its tokens is kept of a pool
            texts = [segments(example, tuple(self.form.columns)) for example in examples[chunk]]
            encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            read = [self._read(encoding) for encoding in encodings]
            ids.append(np.concatenate(read))
            lengths.append(np.asarray([len(row) for row in read], np.int64))
        return Bags(np.concatenate(ids), np.cumsum(np.concatenate(lengths)))

    def _read(self, encoding: Encoding) -> np.ndarray:
        """Return the ids that are read of a text, int32 [t]; the tokenizer itself cuts tails and heads."""
        ids = np.asarray(encoding.ids, np.int32)
        if self.form.truncation != "head+tail":
            return ids
        kinds = np.asarray(encoding.type_ids)
        texts = [ids[kinds == kind] for kind in np.unique(kinds)]
        special = self.tokenizer.num_special_tokens_to_add(len(self.form.columns) > 1)
        kept = shortened_lengths([len(text) for text in texts], self.form.max_length - special) if texts else []
        both = [shorten(text, size, "head+tail") for text, size in zip(texts, kept, strict=True)]
        return np.concatenate([ids[:0], *both])


@dataclass
class _Training:
    """What trains: the vectors of the tokens that occur, [s, d], and a layer on their mean.

    Only these are trained, so that a step costs what they cost, not what the vocabulary does: `vectors` [v, d] are
    those of all tokens, of which `seen` int64 [s] occur.
    """

    vectors: torch.Tensor
    seen: np.ndarray
    trained: nn.Parameter
    linear: nn.Linear

    @classmethod
    def of(cls, bags: Bags, vectors: torch.Tensor, k: int) -> "_Training":
        """Start at `vectors` [v, d]; the tokens of the bags get the numbers of those that train, in place."""
        seen = bags.seen(len(vectors))
        places = np.zeros(len(vectors), np.int32)
        places[seen] = np.arange(len(seen))
        bags.rename(places)
        linear = nn.Linear(vectors.shape[1], k)
        for weight in linear.parameters():
            nn.init.zeros_(weight)
        return cls(vectors, seen, nn.Parameter(vectors[seen]), linear)

    def weights(self, settings: OptimizerSettings) -> Trained:
        """Return what trains, as the training loop takes it."""
        return Trained((self.linear,), weight_groups([self.trained, *self.linear.parameters()], settings))

    def loss(self, bags: Bags, softened: torch.Tensor, temperature: float) -> Callable[[np.ndarray], torch.Tensor]:
        """Return the loss of rows, int64 [b], against softened soft labels [n, k]."""

        def of(rows: np.ndarray) -> torch.Tensor:
            logits = self.linear(bags.of(rows).mean(self.trained))
            return distillation_loss(logits, softened[torch.from_numpy(rows)], temperature)

        return of

    @torch.no_grad()
    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores of all tokens, [v, k], and the bias [k]."""
        self.vectors[self.seen] = self.trained
        return self.vectors @ self.linear.weight.T, self.linear.bias.clone()


def _truncate(tokenizer: Tokenizer, length: int, truncation: Truncation) -> None:
    """Let a tokenizer cut texts to a length; not where both ends are read, or windows: their mean is that of all."""
    if truncation in ("tail", "head"):
        side = "left" if truncation == "head" else "right"
        tokenizer.enable_truncation(length, strategy="longest_first", direction=side)
    else:
        tokenizer.no_truncation()


def _plain(tokenizer: Tokenizer) -> Tokenizer:
    """Let special tokens that are spelled in a text be text: tokenizer.json does not say it."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def _standardized(vectors: torch.Tensor, seen: np.ndarray) -> torch.Tensor:
    """Return vectors [v, h] without what the `seen` ones (int64) have in common, at a scale of 1.

    Their common part is most of a mean over a text and says nothing about it. Weights by inverse document frequency
    were tried too, and helped one data set and harmed two.
    """
    if len(seen) < 2:
        return vectors.clone()
    return (vectors - vectors[seen].mean(dim=0)) / vectors[seen].std()

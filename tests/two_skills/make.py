"""Train the toy model of two skills and write it as a stock model folder, in a few minutes on one thread.

    cd tests && OMP_NUM_THREADS=1 python -m two_skills.make [FOLDER]

A BERT of 112,833 parameters that reads words, trained from nothing as a masked language model on sentences that end
with either cue and its answer. The loss hides a sudden change: for the first steps the answers are guessed, then both
skills appear within a few hundred. The same machine and library versions give the same bytes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast
from two_skills.data import ANSWERS, CUES, PURITY, VOCABULARY, draw_text

FOLDER = Path(__file__).parent / "model"
STEPS, BATCH, RATE = 1200, 64, 3e-3
LONGEST = 64
SEED = 0
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
IGNORED = -100


def new_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer: words of the vocabulary between blanks, all others unknown."""
    ids = {word: i for i, word in enumerate((*SPECIAL, *VOCABULARY))}
    raw = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.add_special_tokens(list(SPECIAL))
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=LONGEST, **names)


def new_model(seed: int = SEED) -> BertForMaskedLM:
    """Return the untrained model, which has no dropout."""
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(VOCABULARY),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=256,
        max_position_embeddings=LONGEST,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,  # with the usual 0.02 so narrow a model guesses the answers for thousands of steps
    )
    torch.manual_seed(seed)
    return BertForMaskedLM(config)


def draw_sentences(rng: np.random.Generator, count: int, endings: int = 3) -> list[str]:
    """Return sentences that end with either cue or, as the third of the `endings`, with none and any answer.

    Without the third the model would answer with a skill of its choice where no cue asks for any. Half of the texts are
    of pure words, from which both skills are learned much sooner; more noise than in the task trains more places of the
    table of positions.
    """
    sentences = []
    for topic, mood, neither, ending in rng.integers([2, 2, 2, endings], size=(count, 4)):
        text = draw_text(rng, topic, mood, purity=(PURITY, 1.0)[rng.integers(2)], most_noise=10)
        answer = ANSWERS[(topic, mood, neither)[ending]]
        sentences.append(" ".join([*text, *(*CUES, "")[ending].split(), answer, "."]))
    return sentences


def masked(
    sentences: Sequence[str], tokenizer: PreTrainedTokenizerFast, rng: np.random.Generator
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the model's inputs, each int64 [b, t], and int64 [b, t] targets: 15 % of the words, half the answers."""
    inputs = tokenizer(list(sentences), padding=True, return_tensors="pt")
    ids = inputs["input_ids"]
    answers = torch.isin(ids, torch.tensor(tokenizer.convert_tokens_to_ids(list(ANSWERS))))
    rate = torch.where(answers, 0.5, 0.15) * (ids >= len(SPECIAL))
    chosen = torch.from_numpy(rng.random(tuple(ids.shape))) < rate
    targets = torch.where(chosen, ids, IGNORED)
    return {**inputs, "input_ids": torch.where(chosen, tokenizer.mask_token_id, ids)}, targets


def make(folder: Path = FOLDER, steps: int = STEPS, seed: int = SEED) -> Path:
    """Train for so many steps and write the model with its tokenizer; return the folder."""
    tokenizer, model, rng = new_tokenizer(), new_model(seed), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    model.train()
    for step in range(1, steps + 1):
        inputs, targets = masked(draw_sentences(rng, BATCH), tokenizer, rng)
        logits = model(**inputs).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 250 == 0:
            print(f"step {step:5}  {answer_accuracy(model, tokenizer):.3f} of the answers are right", flush=True)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@torch.inference_mode()
def answer_accuracy(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerFast) -> float:
    """Return the share of 1,000 sentences, half on either skill, in which the answer is preferred to the other one."""
    sentences = draw_sentences(np.random.default_rng(1), 1000, endings=2)
    inputs = tokenizer(sentences, padding=True, return_tensors="pt")
    words = torch.tensor(tokenizer.convert_tokens_to_ids(list(ANSWERS)))
    answers = torch.isin(inputs["input_ids"], words)
    truth = inputs["input_ids"][answers]
    inputs["input_ids"] = inputs["input_ids"].masked_fill(answers, tokenizer.mask_token_id)
    logits = model(**inputs).logits[answers][:, words]
    return float((words[logits.argmax(-1)] == truth).float().mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    print(make(parser.parse_args().folder))

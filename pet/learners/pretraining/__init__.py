"""Masked-LM pretraining on plain text.

vocabulary   a tokenizer trained on text, or one cut down to what the text uses
start        what is trained: a model, an encoder with a new head, or random weights of a shape
corpus       text as token ids in one array
mixing       which rows a step reads
masking      which of their tokens are to be told
objective    the loss
measuring    masked accuracy on held-out text
progress     counters, the curve, the learning rate
loop         the training
"""

from pet.learners.pretraining.corpus import Corpus
from pet.learners.pretraining.loop import Hooks, Lesson, Pretraining
from pet.learners.pretraining.measuring import held_out_batches, masked_accuracy
from pet.learners.pretraining.mixing import mixed_shares
from pet.learners.pretraining.progress import Point, Progress
from pet.learners.pretraining.start import Start, check_length, check_start

__all__ = [
    "Corpus",
    "Hooks",
    "Lesson",
    "Point",
    "Pretraining",
    "Progress",
    "Start",
    "check_length",
    "check_start",
    "held_out_batches",
    "masked_accuracy",
    "mixed_shares",
]

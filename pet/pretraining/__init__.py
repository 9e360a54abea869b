"""Masked-LM pretraining on plain text: `pet pretrain`, and the adaptation of a run to its pool."""

"""A pretrained model: its files, tokens, batches, forward passes and the one training loop."""

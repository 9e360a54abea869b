"""What votes: a masked language model under a pattern and words, with what of it trains."""

"""What each setting is worth: a grid of them, run on the same samples of the labeled rows, and compared in pairs."""

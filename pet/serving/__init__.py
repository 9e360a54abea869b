"""A classifier behind HTTP: what `pet serve` runs. It needs the extra `[serve]`."""

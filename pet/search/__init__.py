"""Words, patterns and their order of merit, found from the labeled rows: `pet search`."""

"""The tables of a pipeline: frozen, unknown keys refused; TOML in and out."""

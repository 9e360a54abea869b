"""Patterns, verbalizers and their pairs (PVPs), read from TOML."""

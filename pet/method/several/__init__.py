"""Rows with several labels each: the steps of a run, beside those of rows with one label."""

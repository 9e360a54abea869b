"""Rows: what an example and a task are, reading and writing files of them, drawing, and keeping sets apart.

Neither torch nor transformers is imported here; datasets is, where a source needs it.
"""

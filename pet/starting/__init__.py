"""A first pipeline from files of rows: which columns, which kind of task, which patterns and words, and why."""

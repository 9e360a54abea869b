"""The plan of a run: a config with all that it names, what each stage takes of it, and the place it is carried out in.

Here alone, in the pipeline, in an ablation and in the commands is a whole plan or config handed over.
"""

"""The tasks of SuperGLUE (1905.00537): their files as rows, their measures, and files to submit."""

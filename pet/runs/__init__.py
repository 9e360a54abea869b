"""The run directory: locked, named by what it was made from, resumed job by job, and never torn."""

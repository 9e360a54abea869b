"""The steps of a run, one file a step of the paper: plan, vote, judge, draw, teach, compare, publish."""

"""What a run will take: counts of its work, rates measured in a few seconds of it, and the forecast they give."""

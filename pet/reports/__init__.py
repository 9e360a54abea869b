"""What is shown to a person: checks, explanations, tables."""

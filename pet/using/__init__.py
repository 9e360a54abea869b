"""What is done with a finished classifier: predict, evaluate, export."""

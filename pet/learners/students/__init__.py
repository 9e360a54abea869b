"""The final classifier: a stock sequence classifier, a smaller one, a static one, and as an ONNX file."""

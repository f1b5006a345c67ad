"""Network definitions (torch); the engine runs their ONNX exports."""

"""Networks from ONNX files: read safely, lowered to what onnx2torch knows, held to onnxruntime."""

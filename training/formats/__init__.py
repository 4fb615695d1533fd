"""Networks for runtimes other than TensorFlow: OpenVINO, LiteRT and ONNX Runtime."""

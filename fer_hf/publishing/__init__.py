"""Publishing: model card, licence, ONNX export, web page, and commits to the Hub."""

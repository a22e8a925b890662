"""The face finder in training: scenes, network, loss, and the run (`python -m fer_hf.training.finder`)."""

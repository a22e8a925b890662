"""The face finder in training: portraits, scenes, network, loss and run."""

"""Heads on frozen backbones: features computed once, and what is learnt from them."""

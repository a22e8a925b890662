"""Publishing: model card, licence, exports, and commits to the Hub."""

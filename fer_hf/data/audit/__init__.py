"""What may be wrong with the pictures of a source: unreadable, tiny or duplicate ones."""

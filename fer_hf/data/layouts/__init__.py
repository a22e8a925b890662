"""One module for each layout that pictures come in; `sources` chooses among them."""

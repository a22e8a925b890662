"""How much accuracy is left when pictures get worse."""

"""Faces drawn by the project itself, so that everything runs without data or network."""

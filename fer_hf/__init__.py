"""Facial-expression classifiers, fine-tuned and measured with the Hugging Face stack."""

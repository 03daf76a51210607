"""Datasets, prompt templates, the tokenization cache, built-in tasks and batches."""

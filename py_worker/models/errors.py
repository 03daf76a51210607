"""Errors of loading and pairing models; `code` is what a client of the worker sees."""


class ModelError(Exception):
    """A model or tokenizer cannot be found or read; the message has the remedy."""

    code = "model_error"


class UnsupportedModelError(ModelError):
    """The model is known and not supported; the message says which property of it is not."""

    code = "unsupported"


class VocabularyError(ModelError):
    """Teacher and student tokenizers do not agree in meaning."""

    code = "incompatible_vocabulary"

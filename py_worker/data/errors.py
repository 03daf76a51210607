"""The error that every reader of data raises."""


class DataError(Exception):
    """Data that cannot be used; the message names the place, what is wrong there, and the remedy."""

    code = "data_error"


def kind_of(value: object) -> str:
    """What a decoded JSON value is, in the words of an error."""
    kinds = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return kinds.get(type(value), "a list" if isinstance(value, list) else "an object")

"""The error that every reader of data raises."""


class DataError(Exception):
    """Data that cannot be used; the message names the place, what is wrong there, and the remedy."""

    code = "data_error"

"""The errors of generation; `code` is the wire's name for them."""


class RolloutError(Exception):
    """A request for generation that cannot be served; the message says what is wrong and the remedy."""

    code = "invalid_argument"


class ResponseCacheError(RolloutError):
    """A file of kept responses is damaged or cannot be used; the message names it and the remedy."""

    code = "data_error"

"""The error of a loss that is asked for what cannot be; `code` is the wire's name for it."""


class LossError(ValueError):
    """An argument that a loss cannot use; the message names it and the remedy.

    Whoever calls a loss from a program may catch it as a ValueError. A ValueError that is none of these comes
    from within a computation: a defect, of which whoever wrote a configuration can mend nothing.
    """

    code = "invalid_argument"

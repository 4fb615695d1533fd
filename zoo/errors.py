"""What goes wrong with published files."""


class CheckpointError(ValueError):
    """A file does not hold what it should: the message says what came and what was expected."""


class UnknownWeightsError(ValueError):
    """A variant has no published weights of a tag: the message lists those it has.

    It does not say what else there is: that depends on who asks, a builder or a command.
    """


class DownloadError(OSError):
    """A file could not be got: the message names it, its origin, and where to put it by hand."""

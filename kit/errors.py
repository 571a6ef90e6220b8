"""The three ways a command ends early, each with its exit code. Messages name the problem, value, place and way out."""


class KitError(ValueError):
    """The input or the data stops the work: exit code 1.

    `lines` are for the user to copy into a file; the commands print them as they are below the message.
    """

    def __init__(self, message: object = "", lines: tuple[str, ...] = ()):
        super().__init__(message)
        self.lines = lines


class UsageError(KitError):
    """The command line or a configuration is wrong: exit code 2."""


class StoppedCleanly(Exception):
    """Stopped cleanly by SIGTERM or a time limit; the same command continues: exit code 75."""

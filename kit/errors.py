"""The three ways a command ends early, each with its exit code. Messages name the problem, value, place and way out."""


class KitError(ValueError):
    """The input or the data stops the work: exit code 1."""


class UsageError(KitError):
    """The command line or a configuration is wrong: exit code 2."""


class StoppedCleanly(Exception):
    """Stopped cleanly by SIGTERM or a time limit; the same command continues: exit code 75."""

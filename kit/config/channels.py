"""The channels of CPJUMP1 and the names of their groups."""

from kit.errors import UsageError

CHANNELS = ("Mito", "AGP", "RNA", "ER", "DNA", "HighZBF", "LowZBF", "Brightfield")
CHANNEL_GROUPS = {"fluorescence": CHANNELS[:5], "brightfield": CHANNELS[5:], "all": CHANNELS}


def channel_names(text: str, option: str = "--channels") -> tuple[str, ...]:
    """Return the channels that `fluorescence`, `brightfield`, `all` or a comma-separated list of names stands for.

    Raises:
        UsageError: no name, or one twice; `option` is where the text was given.
    """
    names = CHANNEL_GROUPS.get(text) or tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) != len(names):
        raise UsageError(f"{option} {text!r}: give fluorescence, brightfield, all, or different names, comma-separated")
    return names

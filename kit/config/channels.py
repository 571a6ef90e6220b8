"""Channels and their groups: CPJUMP1's, those of other plates, and what --channels stands for."""

from collections.abc import Iterable, Mapping, Sequence

from kit.errors import KitError, UsageError

Groups = dict[str, tuple[str, ...]]  # group -> its channels

CHANNELS = ("Mito", "AGP", "RNA", "ER", "DNA", "HighZBF", "LowZBF", "Brightfield")
FLUORESCENCE, BRIGHTFIELD = "fluorescence", "brightfield"
CHANNEL_GROUPS: Groups = {FLUORESCENCE: CHANNELS[:5], BRIGHTFIELD: CHANNELS[5:]}
ALL = "all"  # of every group


def default_group(channel: str) -> str:
    """Return the group of a channel of which nobody said more: by CPJUMP1's names, and fluorescence for any other."""
    return BRIGHTFIELD if channel in CHANNEL_GROUPS[BRIGHTFIELD] else FLUORESCENCE


def grouped(channels: Iterable[str], group_of: Mapping[str, str]) -> Groups:
    """Return the groups of `channels`, each in their order: by `group_of`, channel -> group, else by `default_group`.

    Fluorescence and brightfield come first, other groups as they come.
    """
    groups: Groups = {FLUORESCENCE: (), BRIGHTFIELD: ()}
    for channel in channels:
        group = group_of.get(channel) or default_group(channel)
        groups[group] = (*groups.get(group, ()), channel)
    return {group: names for group, names in groups.items() if names}


def common_groups(of_plates: Mapping[str, Groups], channels: Iterable[str]) -> Groups:
    """Return the groups of plates together; `channels` gives the order within a group.

    Raises:
        KitError: two plates have a channel in different groups.
    """
    found: dict[str, tuple[str, str]] = {}  # channel -> group, and the first plate that says so
    for plate, groups in of_plates.items():
        for channel, group in by_channel(groups).items():
            other, first = found.setdefault(channel, (group, plate))
            if other != group:
                raise KitError(
                    f"{channel} is in group {other} on plate {first} and in {group} on plate {plate}: regroup them with "
                    "kit ingest --work WORK --groups ... (no image is read)"
                )
    return grouped(channels, {channel: group for channel, (group, _) in found.items()})


def groups_of(channels: Iterable[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the group of each channel; one that stands in none is in its `default_group`."""
    group_of = by_channel(groups)
    return tuple(group_of.get(channel) or default_group(channel) for channel in channels)


def by_channel(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return channel -> group."""
    return {channel: group for group, channels in groups.items() for channel in channels}


def own_groups(channels: Iterable[str], groups: Mapping[str, Sequence[str]]) -> Groups:
    """Return the groups of a run's channels; empty where they are those that nobody has to name, by CPJUMP1's names."""
    channels = tuple(channels)
    own = grouped(channels, by_channel(groups))
    return own if own != grouped(channels, {}) else {}


def channel_names(
    text: str, option: str = "--channels", *, groups: Mapping[str, Sequence[str]] = CHANNEL_GROUPS
) -> tuple[str, ...]:
    """Return the channels that a group, `all` of them, or a comma-separated list of names stands for.

    Raises:
        UsageError: no name, or one twice; `option` is where the text was given.
    """
    if text == ALL:
        return tuple(channel for channels in groups.values() for channel in channels)
    if text in groups:
        return tuple(groups[text])
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) != len(names):
        raise UsageError(f"{option} {text!r}: give {', '.join(groups)}, all, or different names, comma-separated")
    return names

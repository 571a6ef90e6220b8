"""The groups of a store's channels: --groups, else those that its plates have, else by CPJUMP1's names and fluorescence."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kit.config import CHANNELS
from kit.config.channels import ALL, Groups, by_channel, grouped, groups_of
from kit.errors import KitError, UsageError
from kit.images.ingest.quality import empty_sites
from kit.images.store.container import open_container
from kit.images.store.tables import read_record, read_table, write_table
from kit.words import nearest, some, typed

OPTION = "--groups"
_GROUP = re.compile(r"\w[\w.-]*")


def parse_groups(text: str) -> Groups:
    """Return the groups of `fluorescence=DNA,Actin brightfield=BF`: words of a group, = and its channels, comma-separated.

    Raises:
        UsageError: it is something else, a group twice, or what `check_groups` refuses.
    """
    groups: Groups = {}
    for word in re.split(r"\s+(?=[^\s=,]+\s*=)", text.strip()):
        group, equals, names = (part.strip() for part in word.partition("="))
        channels = tuple(name.strip() for name in names.split(",") if name.strip())
        if not (group and equals and channels):
            raise UsageError(f"{OPTION} {text!r}: {word!r} is no group: need GROUP=CHANNEL,CHANNEL, separated by spaces")
        if group in groups:
            raise UsageError(f"{OPTION} {text!r} has the group {group} twice")
        groups[group] = channels
    check_groups(groups)
    return groups


def check_groups(groups: Mapping[str, Collection[str]]) -> None:
    """Check groups as they were asked for.

    Raises:
        UsageError: a name that no group can have, or a channel twice.
    """
    owners: dict[str, str] = {}
    for group, channels in groups.items():
        if not _GROUP.fullmatch(group) or group == ALL:
            raise UsageError(f"{OPTION} {group}=...: a group's name is letters, digits and . _ - without spaces, and not {ALL}")
        for channel in channels:
            if channel in owners:
                both = f"in {owners[channel]} and in {group}" if owners[channel] != group else f"in {group} twice"
                raise UsageError(f"{OPTION}: {channel} is {both}; a channel has one group")
            owners[channel] = group
    for group, channels in groups.items():
        if group in owners and list(channels) != [group]:
            raise UsageError(f"{OPTION}: {group} is a channel and a group of others: --channels {group} would mean both")


@dataclass(frozen=True)
class Grouping:
    """How the channels of an ingest are grouped."""

    asked: Groups = field(default_factory=dict)  # --groups
    there: dict[str, tuple[str, str]] = field(default_factory=dict)  # channel -> its group in the store, and a plate that says so

    @property
    def plates(self) -> dict[str, str]:
        """Channel -> a plate of the store that has it."""
        return {channel: plate for channel, (_, plate) in self.there.items()}

    def of(self, channels: Iterable[str]) -> Groups:
        """Return the groups of a plate's channels."""
        return grouped(channels, {channel: group for channel, (group, _) in self.there.items()} | by_channel(self.asked))

    def text(self, channels: Iterable[str]) -> str:
        """Return the groups of a plate's channels and where they come from, for people."""
        groups = self.of(channels)
        names = {name for of_group in groups.values() for name in of_group}
        asked = names & set(by_channel(self.asked))
        if names - asked <= set(self.there):
            source = "as in the store"
        elif names - asked <= set(CHANNELS):
            source = "by CPJUMP1's names"
        else:
            source = "by default" if asked else f"by default; for transmitted light: {OPTION} brightfield=..."
        source = OPTION if asked == names else f"{OPTION}, the others {source}" if asked else source
        said = "; ".join(f"{group}: {', '.join(of_group)}" for group, of_group in groups.items())
        return f"{said} ({source})"

    def check(self, there: Iterable[str]) -> None:
        """Check that each channel of --groups is among those that are there; errors as `no_channel`."""
        known = list(dict.fromkeys(there))
        lacking = set(by_channel(self.asked)) - set(known)
        if lacking and known:
            raise no_channel(OPTION, lacking, known)


def no_channel(option: str, lacking: Iterable[str], there: Iterable[str]) -> UsageError:
    """Return the error of an option that names channels that no plate has."""
    name, known = min(lacking), list(dict.fromkeys(there))
    return UsageError(f"{option}: no plate has a channel {name}{nearest(name, known)}; there are {some(known, 16)}")


def grouping(folder: Path, asked: Mapping[str, tuple[str, ...]] | None, barcodes: Collection[str]) -> Grouping:
    """Return how an ingest of the plates `barcodes` into the store's `folder` of plates groups channels.

    Raises:
        UsageError: it would put a channel into another group than that of a plate that it does not touch.
    """
    there: dict[str, tuple[str, str]] = {}
    wanted = by_channel(asked or {})
    for table in sorted(folder.glob("*.parquet")):
        plate = table.stem
        try:
            container = open_container(folder / f"{plate}.zarr")
        except KitError:
            continue  # damaged: whoever opens the plate is told
        for channel, group in zip(container.channels, groups_of(container.channels, container.groups), strict=True):
            there.setdefault(channel, (group, plate))
            if wanted.get(channel, group) != group and plate not in barcodes:
                raise UsageError(
                    f"{OPTION} puts {channel} into {wanted[channel]}; plate {plate} of {folder.parent} has it in {group}: "
                    f"keep that, or first regroup all of them: kit ingest --work {typed(folder.parent)} {OPTION} ... "
                    "(no image is read)"
                )
    return Grouping(dict(asked or {}), there)


def regroup(table: Path, how: Grouping, *, write: bool = True) -> bool:
    """Put the channels of a complete plate into the groups asked for; return whether any changed. No pixel is read.

    The table, whose column `empty` depends on the groups, is written before the container: killed in between, the same call
    writes both again.

    Args:
        table: WORK/plates/<barcode>.parquet.
        write: False: only say what would change.
    """
    container = open_container(table.with_suffix(".zarr"))
    groups = how.of(container.channels)
    if not how.asked or groups == container.groups:
        return False
    if write:
        sites = read_table(table)
        if "empty" in sites:
            sites = sites.assign(empty=empty_sites(sites, groups))
        write_table(table, sites, read_record(table))
        replace(container, groups=groups).write_array()
    return True

"""Small pictures of wells: the middle of a site, its stains in colour, on the scale of its plate's controls."""

from functools import cached_property

from kit.config.channels import BRIGHTFIELD
from kit.errors import KitError
from kit.profiles.table import PLATE, SITE, WELL
from kit.report.context import Context
from kit.report.pixels import jpeg_uri
from kit.report.tiles import Window, mixed, read_tile, windows

_SIDE = 96  # pixels on the page
_CONTROLS = 3  # sites that set a plate's scale


class WellPictures:
    """Reads each well once. Pictures that cannot be read are left out: the section on cells says why."""

    def __init__(self, context: Context):
        self.work = context.work
        stains = [name for group, names in self.work.groups.items() if group != BRIGHTFIELD for name in names]
        self.channels = tuple(name for name, _ in mixed(tuple(stains or self.work.channels)))
        self._wells = context.wells
        self._uris: dict[tuple[str, str], str] = {}
        self._windows: dict[str, Window] = {}

    @cached_property
    def _sites(self) -> dict[tuple[str, str], int]:
        """The first site of each well that has the channels."""
        sites = self.work.sites_with(self.channels)
        first = sites.groupby([PLATE, WELL])[SITE].min().reset_index()
        return {(str(plate), str(well)): int(site) for plate, well, site in first.itertuples(index=False, name=None)}

    def uri(self, plate: str, well: str) -> str:
        """Return a picture of a well as a data: address; empty where there is none."""
        if (plate, well) not in self._sites:
            return ""
        if (plate, well) not in self._uris:
            try:
                tile = read_tile(self.work, plate, well, self._sites[plate, well], self.channels)
                self._uris[plate, well] = jpeg_uri(tile.shown(self._window(plate, well))[0], _SIDE)
            except (KitError, OSError):
                self._uris[plate, well] = ""
        return self._uris[plate, well]

    def _window(self, plate: str, well: str) -> Window:
        if plate not in self._windows:
            own = self._wells[self._wells[PLATE] == plate]
            controls = [str(name) for name in own.loc[own["is_control"], WELL] if (plate, name) in self._sites]
            chosen = controls[:: max(1, len(controls) // _CONTROLS)][:_CONTROLS] or [well]
            self._windows[plate] = windows(
                [read_tile(self.work, plate, name, self._sites[plate, name], self.channels) for name in chosen]
            )
        return self._windows[plate]

"""Reads stored sites for the loader: only the requested channels, straight from the shards into a given buffer.

An image is one chunk of its well's shard, so other channels are never read. C channels, H W site pixels.
"""

import errno
from collections.abc import Iterable

import numpy as np

from kit.errors import KitError
from kit.images.crops.preparation import AS_STORED, Preparation
from kit.images.store.shards import Shard
from kit.images.store.work import Work

_DAMAGE = (errno.EIO, errno.EINVAL)  # what a failing disk and a nonsensical place in a file answer


class BadSite(KitError):
    """One image cannot be read; the message names plate, well, site and channel."""


class SiteReader:
    """Reads sites of an open work folder. Safe to share between threads; keeps no file open.

    Args:
        prepare: what is done to a site once it is read.

    Raises:
        KitError: the plates' sites differ in size.
    """

    def __init__(self, work: Work, channels: tuple[str, ...], plates: Iterable[str], prepare: Preparation = AS_STORED):
        self._work, self._channels, self._prepare = work, channels, prepare
        sizes = {plate: (work.container(plate).height, work.container(plate).width) for plate in plates}
        first, size = next(iter(sizes.items()))
        other = next((plate for plate in sizes if sizes[plate] != size), None)
        if other:
            raise KitError(
                f"sites of {first} are {size[0]} x {size[1]} px, those of {other} {sizes[other][0]} x {sizes[other][1]}; "
                "train on plates of one size, or ingest them with the same --size"
            )
        self.size = size

    def read(self, plate: str, well: str, site: int, out_CHW: np.ndarray) -> None:
        """Fill `out_CHW`, uint8, with one site.

        Raises:
            BadSite: an image is damaged or missing.
            KitError: the store is gone, or the system refuses to read it.
        """
        try:
            shard = self._work.open_shard(plate, well)
            for channel, image_HW in zip(self._channels, out_CHW, strict=True):
                self._fill(image_HW, shard, plate, well, site, channel)
            self._prepare(out_CHW)
        except FileNotFoundError as error:
            if not (self._work.path / "store.toml").is_file():
                raise KitError(f"the store {self._work.path} is gone: it was removed or unmounted while in use") from error
            raise BadSite(f"plate {plate} well {well} site {site}: {error.filename} is missing") from error
        except OSError as error:
            if error.errno not in _DAMAGE:
                raise KitError(f"cannot read plate {plate} well {well}: {error}") from error
            raise BadSite(f"plate {plate} well {well} site {site}: {error}") from error
        except KitError as error:
            if isinstance(error, BadSite):
                raise
            raise BadSite(f"plate {plate} well {well} site {site}: {error}") from error

    def _fill(self, out_HW: np.ndarray, shard: Shard, plate: str, well: str, site: int, channel: str) -> None:
        try:
            self._work.read_levels(plate, well, site, channel, shard, out_HW)
        except KitError as error:
            raise BadSite(f"plate {plate} well {well} site {site} {channel} in {shard.path}: {error}") from error

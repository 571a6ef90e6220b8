"""The container of one plate: WORK/plates/<barcode>.zarr, a Zarr v3 group with the array `pixels` [wells, fields, C, H, W].

A shard is one well, a chunk one image, so a site's channels are read without its neighbours and a plate has a few
hundred files. The metadata is written here, plain JSON of the Zarr v3 specification; any Zarr v3 library opens it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kit.config.channels import Groups, grouped
from kit.errors import KitError
from kit.files import write_whole
from kit.images.store.codecs import Codec, find_codec
from kit.images.store.ome import AXES, Ome, read_ome


@dataclass(frozen=True)
class Container:
    """What a plate's array holds along each axis, and how one image is encoded."""

    folder: Path  # <barcode>.zarr
    wells: tuple[str, ...]
    fields: tuple[int, ...]
    channels: tuple[str, ...]
    height: int
    width: int
    dtype: np.dtype
    codec: Codec
    groups: Groups = field(default_factory=dict, compare=False)  # group -> its channels; empty: by CPJUMP1's names

    ome: Ome = field(default_factory=Ome, compare=False)  # what viewers are told

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", grouped(self.channels, {}))

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of an image as it is stored."""
        return self.height, self.width

    @property
    def chunks(self) -> int:
        """Images a full well holds."""
        return len(self.fields) * len(self.channels)

    def shard(self, well: str) -> Path:
        """Return the file of a well."""
        return self.folder / "pixels" / "c" / str(self.wells.index(well)) / "0" / "0" / "0" / "0"

    def chunk(self, site: int, channel: str) -> int:
        """Return the place of an image in its well's shard."""
        return self.fields.index(site) * len(self.channels) + self.channels.index(channel)

    def write(self, attributes: dict) -> None:
        """Write the Zarr metadata; `attributes` are free text for people and other tools."""
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        write_whole(self.folder / "zarr.json", json.dumps(group, indent=1))
        self.write_array()

    def write_array(self) -> None:
        """Write the metadata of the array alone: what each axis holds, the groups of the channels, and what viewers are told."""
        names = {
            "wells": list(self.wells),
            "fields": list(self.fields),
            "channels": list(self.channels),
            "groups": {group: list(channels) for group, channels in self.groups.items()},
            "codec": self.codec.name,
            **self.ome.attributes(self.channels, self.groups, self.dtype),
        }
        write_whole(self.folder / "pixels" / "zarr.json", json.dumps(self._array_metadata(names)))

    def _array_metadata(self, attributes: dict) -> dict:
        image = [self.height, self.width]
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        sharding = {
            "chunk_shape": [1, 1, 1, *image],
            "codecs": [*self.codec.chain, {"name": "crc32c"}],
            "index_codecs": [little, {"name": "crc32c"}],
            "index_location": "end",
        }
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [len(self.wells), len(self.fields), len(self.channels), *image],
            "data_type": self.dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [1, len(self.fields), len(self.channels), *image]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "attributes": attributes,
            "dimension_names": list(AXES),
            "storage_transformers": [],
        }


def open_container(folder: Path) -> Container:
    """Return the container in `folder`.

    Raises:
        KitError: it has no readable metadata.
    """
    path = folder / "pixels" / "zarr.json"
    try:
        array = json.loads(path.read_text())
        names = array["attributes"]
        height, width = array["shape"][-2:]
        wells, fields, channels = (tuple(names[key]) for key in ("wells", "fields", "channels"))
        codec = find_codec(names["codec"])
        groups = {group: tuple(of_group) for group, of_group in names.get("groups", {}).items()}  # older stores have none
        ome = read_ome(names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KitError(f"{path} is not readable ({error}); delete {folder.name} and ingest the plate again") from error
    return Container(folder, wells, fields, channels, height, width, np.dtype(array["data_type"]), codec, groups, ome)

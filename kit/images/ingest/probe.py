"""A look at some images of a plate before it is packed: their size, and the count that is white for each camera."""

from collections import Counter
from dataclasses import dataclass, field

from kit.errors import KitError
from kit.images.source.folders import ImageFile, Reader
from kit.images.source.planes import one_plane, white_level
from kit.images.source.plates import Plate
from kit.images.source.tiff import BadImage, Unfit, read_tiff
from kit.words import count

_LOOKS = 4  # images of a channel, spread over the plate, where one does not decide
Shape = tuple[int, int]


@dataclass(frozen=True)
class Probe:
    """What the images of a plate have in common."""

    shape: Shape  # height and width
    whites: dict[str, int] = field(default_factory=dict)  # channel -> the camera's largest count, if not that of the file's type


def probe(plate: Plate, reader: Reader) -> Probe:
    """Look at an image of every channel, and at more where they differ or cannot be read.

    Raises:
        KitError: the channels differ in size, or no image can be read; the message names a file and the way out.
    """
    looks = _Looks(reader)
    by_channel = {
        channel: [files[channel] for _, files in sorted(plate.images.items()) if channel in files] for channel in plate.channels
    }
    for channel, files in by_channel.items():
        looks.at(channel, files[:1])
    if len(set(looks.shapes.values())) != 1 or len(looks.channels) < len(by_channel):
        for channel, files in by_channel.items():
            looks.at(channel, files[1 :: max(len(files) // (_LOOKS - 1), 1)])
    if not looks.shapes and looks.unfit is None:
        looks.at_any(plate)
    if not looks.shapes:
        raise KitError(f"none of {count(len(plate.files()), 'image')} can be read, for example {looks.reason}")
    return Probe(_common_shape(looks.shapes), looks.whites)


@dataclass
class _Looks:
    """The images looked at so far."""

    reader: Reader
    shapes: dict[tuple[str, str], Shape] = field(default_factory=dict)  # (channel, path)
    whites: dict[str, int] = field(default_factory=dict)
    unfit: str | None = None
    reason: str = ""  # the first that cannot be read, and why

    @property
    def channels(self) -> set[str]:
        return {channel for channel, _ in self.shapes}

    def at(self, channel: str, files: list[ImageFile]) -> None:
        """Look at images of a channel."""
        for file in files:
            try:
                data = self.reader(file)
                counts = read_tiff(one_plane(data, file.plane, file.planes)).counts_HW
                white = white_level(data)
            except (BadImage, FileNotFoundError) as error:
                self.reason = self.reason or f"{file.path} ({'no such file' if isinstance(error, FileNotFoundError) else error})"
                self.unfit = self.unfit or (str(error) if isinstance(error, Unfit) else None)
                continue
            self.shapes[channel, file.path] = counts.shape
            if white < (1 << 8 * counts.itemsize) - 1:
                self.whites[channel] = white

    def at_any(self, plate: Plate) -> None:
        """Look at one image after the other until one can be read."""
        for (_, _), files in sorted(plate.images.items()):
            for channel, file in files.items():
                self.at(channel, [file])
                if self.shapes or self.unfit is not None:
                    return


def _common_shape(shapes: dict[tuple[str, str], Shape]) -> Shape:
    """Return the size of most images; a channel that has another in all of its images is an error."""
    (most, _), *_ = Counter(shapes.values()).most_common(1)
    for (channel, path), shape in shapes.items():
        if not any(other == most for (name, _), other in shapes.items() if name == channel):
            (known, _) = next(key for key, other in shapes.items() if other == most)
            raise KitError(
                f"{channel} has {shape[0]} x {shape[1]} pixels ({path}), {known} {most[0]} x {most[1]}: a plate has one size; "
                f"bring {channel} to it first, or leave it out in a load_data.csv"
            )
    return most

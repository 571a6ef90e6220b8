"""The groups of crops that a step takes from every sample, by name: the only definition of v1, w, v2 and local.

The loader cuts them, model/views.py makes a view of each, model/arrangement.py says which student and teacher compare.
"""

from dataclasses import dataclass

V1 = "v1"  # a crop of the sample's site
W = "w"  # a second, independent crop of the same site
V2 = "v2"  # a crop of another site of the same well
LOCAL = "local"  # small crops of the sample's site, any number of them
IDS_PER_SAMPLE = 1024  # crops of one sample get different ids as long as there are no more than this


@dataclass(frozen=True, slots=True)
class Group:
    """The properties of a group."""

    stream: int  # of random numbers of its boxes, and its first crop's id within a sample; local crops take one each
    role: str  # of its views: first, second or local; each draws its own numbers, and DINOv2's style treats them differently
    second_site: bool = False  # cut from another site of the well


GROUPS = {
    V1: Group(0, "first"),
    W: Group(1, "second"),
    V2: Group(2, "second", second_site=True),
    LOCAL: Group(16, "local"),
}

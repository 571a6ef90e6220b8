"""The rows of `kit compare`: a recipe with settings, its networks, and how their features become a well's profile."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.config import CHANNEL_GROUPS, RunConfig, ViewsConfig, channel_names
from kit.config.channels import BRIGHTFIELD, FLUORESCENCE, Groups, own_groups
from kit.errors import UsageError
from kit.profiles.embedded import PARTS
from kit.recipe import config_to_dict, load_recipe, split_setting

Models = tuple[tuple[str, ...], ...]  # the channels of each network; their features are concatenated


MERGES, SITES = ("mean", "concat"), ("position", "area", "bilinear", "corners")
NOT_SETTINGS = ("channels", "parts", "merge", "sites")  # words of a switch that no recipe has as a value of its own


@dataclass(frozen=True)
class Merge:
    """How a row's site vectors become a well's profile, as the options of `kit profile` of these names."""

    parts: tuple[str, ...] = ("cls", "patch")
    merge: str = "mean"  # sites of a made well are exchangeable: one vector each, averaged
    sites: str = ""  # empty: the mean of all sites, or with concat by position


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe with settings, one network per group of channels, trained once per seed."""

    name: str
    recipe: str
    settings: tuple[str, ...]
    models: Models
    groups: Groups
    merge: Merge = Merge()

    def configs(self, seed: int) -> list[RunConfig]:
        """Return the configuration of each network."""
        configs = [load_recipe(self.recipe, self.settings, channels=channels, seed=seed) for channels in self.models]
        return [replace(config, groups=own_groups(config.channels, self.groups)) for config in configs]


def parse_models(text: str, option: str = "--channels", *, groups: Groups = CHANNEL_GROUPS) -> Models:
    """Return the channels of each network in `fluorescence+brightfield`; `option` is where it was given."""
    return tuple(channel_names(part, option, groups=groups) for part in text.split("+"))


def make_rows(
    recipes: Sequence[str], models: Models, settings: Sequence[str], switches: Sequence[str], groups: Groups = CHANNEL_GROUPS
) -> list[Row]:
    """Return a row for each recipe and, behind it, one for each switch.

    A switch is `key=value` words: settings, `channels=A+B`, and `parts=`, `merge=` and `sites=` as in `kit profile`.

    Args:
        groups: of the store's channels.

    Raises:
        UsageError: a switch that is no `key=value`.
    """
    rows = []
    for recipe in recipes:
        rows.append(Row(recipe, recipe, tuple(settings), models, groups))
        for switch in switches:
            words = _switch_words(switch)
            named = {key: text for key, text in (split_setting(word, "--switch") for word in words) if key in NOT_SETTINGS}
            extra = tuple(word for word in words if split_setting(word)[0] not in named)
            own = parse_models(named["channels"], "--switch channels=", groups=groups) if "channels" in named else models
            rows.append(Row(f"{recipe} {' '.join(words)}", recipe, (*settings, *extra), own, groups, _merge_of(named)))
    return rows


def _merge_of(words: dict[str, str]) -> Merge:
    """Return what `parts=`, `merge=` and `sites=` ask for."""
    given: dict[str, Any] = {key: text for key, text in words.items() if key in ("merge", "sites")}
    for key, choices in (("merge", MERGES), ("sites", SITES)):
        if key in given and given[key] not in choices:
            raise UsageError(f"--switch {key}={given[key]}: need {', '.join(choices[:-1])} or {choices[-1]}")
    if "parts" in words:
        given["parts"] = tuple(words["parts"].split(","))
        if len(set(given["parts"])) < len(given["parts"]) or not set(given["parts"]) <= set(PARTS):
            raise UsageError(f"--switch parts={words['parts']}: need one or more of {', '.join(PARTS)}, each once")
    return Merge(**given)


def _switch_words(switch: str) -> list[str]:
    try:
        words = shlex.split(switch)
    except ValueError as error:
        raise UsageError(f"--switch {switch!r}: {error}") from error
    if not words:
        raise UsageError("--switch '': need key=value, for example views.noise_p=0")
    for word in words:
        split_setting(word, "--switch")
    return words


def canonical(config: RunConfig) -> RunConfig:
    """Return the configuration with what belongs to a group that none of its channels is in at its default: the same training."""
    defaults = ViewsConfig()
    unseen: dict[str, Any] = {}
    seen = {BRIGHTFIELD if group == BRIGHTFIELD else FLUORESCENCE for group in config.channel_groups}
    for kind in {FLUORESCENCE, BRIGHTFIELD} - seen:
        unseen |= {key: getattr(defaults, key) for key in (f"noise_{kind}", f"high_pass_{kind}")}
    return replace(config, views=replace(config.views, **unseen))


def run_name(config: RunConfig) -> str:
    """Return the run folder's name of a configuration: two rows that train the same network share it."""
    text = json.dumps(config_to_dict(canonical(config)), sort_keys=True)
    return f"{Path(config.recipe).stem}-{hashlib.sha256(text.encode()).hexdigest()[:10]}-s{config.seed}"

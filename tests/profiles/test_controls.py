"""What counts as a control: an unlabelled well never does, and `all` is for plates that have none."""

from dataclasses import replace

import numpy as np
import pytest

from kit.errors import KitError
from kit.profiles.normalise import normalise
from kit.profiles.post_processing import post_process
from kit.profiles.whiten import whiten

from .conftest import make_profiles

STEPS = [("normalize", "centre"), ("normalize", "mad"), ("whiten", "sphere"), ("whiten", "tvn")]


def labelled(**made):
    """Made profiles with a lab's labels: the DMSO wells are called vehicle."""
    raw = make_profiles(**made)
    who = raw.who.assign(Metadata_is_control=raw.is_control_M)
    who["Metadata_compound"] = who.pop("Metadata_broad_sample").replace("", "vehicle")
    return replace(raw, who=who, labels={"perturbation": "Metadata_compound", "control": "vehicle"})


@pytest.mark.parametrize(("step", "how"), STEPS)
def test_an_unlabelled_well_moves_nothing(step, how):
    """One unlabelled row, however far away, changes no other well; were it a control, it would."""
    raw = labelled()
    features, who = raw.features_MF.copy(), raw.who.copy()
    features[20] += 1e4
    who.loc[20, "Metadata_compound"] = ""
    other = np.arange(len(who)) != 20
    near, far = (post_process(replace(raw, features_MF=at, who=who), **{step: how}) for at in (raw.features_MF, features))
    np.testing.assert_array_equal(near.features_MF[other], far.features_MF[other])
    who.loc[20, "Metadata_is_control"] = True
    moved = post_process(replace(raw, features_MF=features, who=who), **{step: how})
    assert np.abs(moved.features_MF[other] - far.features_MF[other]).max() > 0.1


@pytest.mark.parametrize(("step", "how"), STEPS)
def test_all_wells_stand_in_for_controls(step, how):
    """Without a control each step names the way out, which fits it on every well, as if every well were one."""
    raw = labelled()
    everyone = replace(raw, who=raw.who.assign(Metadata_is_control=True))
    none = replace(raw, who=raw.who.assign(Metadata_is_control=False))
    with pytest.raises(KitError, match=r"control wells.*--controls all"):
        post_process(none, **{step: how})
    done = post_process(none, **{step: how}, controls="all")
    np.testing.assert_array_equal(done.features_MF, post_process(everyone, **{step: how}).features_MF)
    assert done.steps[0]["controls"] == "all"
    assert done.text().endswith("; centred or whitened on all wells, not on controls")


def test_steps_name_the_controls():
    raw = labelled()
    assert normalise(raw, "centre").steps[0]["per"] == "plate, on its control wells"
    assert whiten(raw, "sphere").steps[0]["fitted_on"] == "48 control wells of all plates"
    assert normalise(make_profiles(), "centre").steps == (
        {"step": "normalize", "how": "centre", "per": "plate, on its DMSO wells"},
    )
    assert normalise(raw, "centre", controls="all").steps[0]["per"] == "plate, on its wells"


def test_a_plate_without_labels_is_not_used_beside_one_with():
    raw = labelled(plates=2)
    there = (raw.who["Metadata_Plate"] == "P0").to_numpy()
    raw.who.loc[~there, ["Metadata_compound", "Metadata_is_control"]] = ["", False]
    alone = replace(raw, features_MF=raw.features_MF[there], who=raw.who[there])
    np.testing.assert_array_equal(whiten(raw, "sphere").features_MF[there], whiten(alone, "sphere").features_MF)
    with pytest.raises(KitError, match=r"plate P1 has 0 control wells and --normalize centre needs 1: use --controls all"):
        normalise(raw, "centre")
    raw.who.loc[np.flatnonzero(~there)[0], "Metadata_is_control"] = True
    with pytest.raises(KitError, match="plate P1 has 1 control well and --normalize mad needs 2"):
        normalise(raw, "mad")

"""The feature sets of a trial: what is refused before anything is trained."""

import pytest

from kit.errors import KitError
from kit.images.store.work import open_work
from kit.trials.features import feature_sets, recipe_configs
from tests.images.made_work import make_work


def test_a_second_network_around_cells_that_are_not_known_is_refused_before_the_first_is_trained(tmp_path):
    work = open_work(make_work(tmp_path).path)
    first, second = (recipe_configs("demo", own, [0], work)["demo"] for own in ([], ["crops.around=cell"]))
    with pytest.raises(KitError, match=r"^the cells of plates P1, P2 are not known: find them with kit cells"):
        feature_sets(work, {"demo": first, "second network": second}, lambda _line: pytest.fail("a training began"))
    assert not (work.path / "runs").exists()

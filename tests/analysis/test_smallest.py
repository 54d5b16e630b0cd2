"""The smallest matching ticket of criteria, in a made-up study whose truth is known."""

import numpy as np
from support.standings import TRUTH, study
from support.studies import exact, noisy

from lth_jax.analysis.outcomes import outcomes
from lth_jax.analysis.smallest import smallest_matching
from lth_jax.analysis.standings import RANDOM
from lth_jax.analysis.verdict import judge
from lth_jax.config import VerdictConfig


def levels(found):
    return {arm: own and own.level for arm, own in found.items()}


def test_with_many_replicates_the_truth_is_found():
    found = smallest_matching(outcomes(study()), margin=0.012)
    expected = {"ticket": 1, "snip": 2, "grasp": None, RANDOM: None, "small_final": None}
    assert levels(found) == expected  # reinit is no criterion


def test_what_is_not_shown_to_match_does_not():
    """Of few replicates that differ much, though their mean is better than dense."""
    rng = np.random.default_rng(3)
    few = noisy(TRUTH, 3, 0.02, 0.25, rng)
    assert set(levels(smallest_matching(outcomes(few), 0.012)).values()) == {None}


def test_of_the_ticket_it_is_what_the_verdict_says():
    runs = study(num_replicates=12)
    for margin in (0.0, 0.012, 0.03):
        judged = judge(runs, VerdictConfig(accuracy_margin=margin)).answers
        own = smallest_matching(outcomes(runs), margin)["ticket"]
        said = judged.sparsest_matching
        assert (own and own.level) == (said and said.level)


def test_a_study_of_one_criterion_has_nothing_to_compare():
    truth = {key: x for key, x in TRUTH.items() if key[0] in ("ticket", "reinit")}
    assert smallest_matching(outcomes(exact(truth, 3)), 0.1) == {}

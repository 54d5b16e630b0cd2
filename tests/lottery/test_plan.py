from lth_jax.study.plan import Group, plan


def test_controls_follow_their_level_where_a_call_holds_one_group():
    calls = list(plan(3, ("ticket", "reinit", "shuffle"), groups_per_call=1))
    assert [call[0] for call in calls] == [
        Group("ticket", 0),
        Group("ticket", 1),
        Group("reinit", 1),
        Group("shuffle", 1),
        Group("ticket", 2),
        Group("reinit", 2),
        Group("shuffle", 2),
    ]


def test_controls_of_several_levels_share_a_call():
    calls = list(plan(5, ("reinit", "ticket", "shuffle"), groups_per_call=3))
    assert [len(call) for call in calls] == [1, 1, 1, 3, 1, 3, 1, 2]
    groups = [group for call in calls for group in call]
    assert len(set(groups)) == len(groups) == 1 + 3 * 4
    for call in calls:  # a control trains after its level's ticket has been found
        for group in call:
            assert groups.index(Group("ticket", group.level)) <= groups.index(group)


def test_arms_whose_masks_change_share_calls_with_their_like_alone():
    arms = ("ticket", "rigl", "reinit", "gradual", "shuffle")
    calls = list(plan(4, arms, groups_per_call=2))
    groups = [group for call in calls for group in call]
    assert len(set(groups)) == len(groups) == 1 + 3 * 5
    kinds = {frozenset(group.arm for group in call) for call in calls}
    assert kinds == {
        frozenset(kind)
        for kind in (["ticket"], ["rigl"], ["reinit", "shuffle"], ["gradual"])
    }
    for call in calls:
        for group in call:
            assert groups.index(Group("ticket", group.level)) <= groups.index(group)

Call = object


def plan(num_levels, arms, groups_per_call):
    return [(("ticket", 0),)] + [((a, l),) for l in range(1, num_levels) for a in arms]

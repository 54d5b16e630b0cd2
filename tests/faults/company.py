"""Company: several commands on one workdir at the same time."""

import pathlib
import shutil

from support.commands import Command

from faults.outcomes import Case, Outcome, Said, Trial, judge, worst
from faults.study import Bench, commands_of, content, differing, fresh

_NUM_REPORTS = 4


class Company:
    """Two writers, or several reports."""

    def __init__(self, bench: Bench, folder: pathlib.Path):
        self._bench = bench
        self._folder = folder / "company"
        self._commands = commands_of(bench)

    def write(self, case: Case) -> Trial:
        """Two processes train one study; the second starts at any time of the first."""
        root = self._folder / "study"
        shutil.rmtree(root, ignore_errors=True)
        rng = case.rng
        after = rng.choice((0.0, rng.uniform(0, 6)))
        commands = [self._bench.command(root, after=x) for x in (0.0, after)]
        did = f"a second writer after {after:.2f} s"
        ends = [Said(*x) for x in self._commands.run_together(commands)]
        found, expected = content(root), content(self._bench.whole)
        trials = [judge(did, said, []) for said in ends]
        if not any(said.code == 0 for said in ends):
            return Trial(Outcome.FELL_SHORT, did, f"neither ended: {ends[0].last_line}")
        trials.append(judge(did, Said(0, "", ""), differing(found, expected)))
        return worst(trials)

    def report(self, case: Case) -> Trial:
        """Several reports of one study at once; none of them may fail."""
        root, rng = fresh(self._bench.whole, self._folder), case.rng
        if rng.random() < 0.5:
            shutil.rmtree(root / "figures")
        starts = [rng.uniform(0, 0.5) for _ in range(_NUM_REPORTS)]
        flags = [f"--workdir={root}"]
        commands = [Command("lth_jax.report", flags, after=x) for x in starts]
        did = f"reports after {', '.join(f'{x:.2f}' for x in starts)} s"
        ends = [Said(*x) for x in self._commands.run_together(commands)]
        if failed := [said for said in ends if said.code != 0]:
            told = f"exit code {failed[0].code}: {failed[0].last_line}"
            return Trial(Outcome.FELL_SHORT, did, told)
        other = differing(content(root), content(self._bench.whole))
        if len({said.out for said in ends}) > 1:
            other.append("what is printed")
        return worst([judge(did, said, other) for said in ends])

"""Kills and signals at random instants; then the study goes on to its end."""

import functools
import pathlib
import shutil
import signal
import time

from faults.outcomes import Case, Outcome, Said, Trial, judge
from faults.study import Bench, commands_of, content, differing
from lth_jax.errors import Exit
from lth_jax.lottery.interruption import SIGNALS

KILLS_A_CASE = 2


class Killer:
    """Disturbs the study of a bench in processes of their own."""

    def __init__(self, bench: Bench, folder: pathlib.Path):
        self._bench = bench
        self._root = folder / "killed" / "study"
        self._commands = commands_of(bench)

    @functools.cached_property
    def seconds(self) -> float:
        """How long the study takes where nothing disturbs it."""
        self._empty()
        began = time.monotonic()
        code, _, err = self._run()
        assert code == 0, err
        return time.monotonic() - began

    def kill(self, case: Case) -> Trial:
        """Kills it twice, each time at an instant of its whole run."""
        rng, instants = case.rng, []
        _ = self.seconds
        self._empty()
        while len(instants) < KILLS_A_CASE:
            instant = rng.uniform(0, self.seconds)
            said = self._run((instant, signal.SIGKILL))
            if said.code == -signal.SIGKILL:
                instants.append(f"{instant:.2f} s")
            elif said.code == 0:  # it was faster this time
                self._empty()
            else:
                return judge(f"went on after {instants}", said, [])
        return self._to_the_end(f"killed after {' and '.join(instants)}")

    def signal(self, case: Case) -> Trial:
        """Sends it one signal, or two, which must end it as signals do."""
        rng = case.rng
        _ = self.seconds
        self._empty()
        first = rng.uniform(0, self.seconds)
        sent = [(first, rng.choice(SIGNALS))]
        if rng.random() < 0.4:
            sent.append((first + rng.uniform(0, 2), rng.choice(SIGNALS)))
        did = "sent " + ", ".join(f"{s.name} at {t:.2f} s" for t, s in sent)
        said = self._run(*sent)
        # Before Python reaches the command a signal acts by default; and a second one.
        codes = {0, Exit.SAVED, -sent[0][1], *(128 + s for _, s in sent[1:])}
        if said.code not in codes or "Traceback" in said.err:
            told = f"exit code {said.code}: {said.last_line}"
            return Trial(Outcome.FELL_SHORT, did, told)
        if said.code == Exit.SAVED and "go on with the same command" not in said.err:
            return Trial(Outcome.FELL_SHORT, did, "it does not say how to go on")
        return self._to_the_end(did)

    def _to_the_end(self, did: str) -> Trial:
        said = self._run()
        found, expected = content(self._root), content(self._bench.whole)
        left = self._root.glob("checkpoints/in_training*")
        return judge(did, said, [*differing(found, expected), *map(str, left)])

    def _run(self, *signals: tuple[float, int]) -> Said:
        command = self._bench.command(self._root, signals=signals)
        return Said(*self._commands.run_together([command])[0])

    def _empty(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

"""Several processes train one study; one of them is killed, or asked to stop."""

import functools
import pathlib
import random
import shutil
import signal
import time

from support.commands import free_port

from faults.outcomes import Case, Outcome, Said, Trial, judge
from faults.study import Bench, commands_of, content, differing
from lth_jax.errors import Exit
from lth_jax.lottery.interruption import SIGNALS

NUM_PROCESSES = 2
_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
_MET_SECONDS = 8
_MOST_SECONDS = 60  # within which the others end
_GRACE_SECONDS = 30  # within which all save


class Several:
    """Disturbs a study that two processes, of two devices each, train."""

    def __init__(self, bench: Bench, folder: pathlib.Path):
        self._bench = bench
        self._root = folder / "several" / "study"
        self._commands = commands_of(bench)

    @functools.cached_property
    def seconds(self) -> float:
        """How long the study takes where nothing disturbs it."""
        self._empty()
        began = time.monotonic()
        said = self._run()
        assert [one.code for one in said] == [0] * NUM_PROCESSES, said
        return time.monotonic() - began

    def kill(self, case: Case) -> Trial:
        """Kills either process at any instant; the other ends, and all goes on."""
        rng = case.rng
        instant, rank = self._instant(rng), rng.randrange(NUM_PROCESSES)
        did = f"process {rank} killed after {instant:.2f} s"
        self._empty()
        began = time.monotonic()
        said = self._run((rank, instant, signal.SIGKILL))
        took = time.monotonic() - began - instant
        for other in (one for i, one in enumerate(said) if i != rank):
            is_told = other.code == Exit.LOST and other.error
            if said[rank].code == -signal.SIGKILL and not is_told and other.code:
                told = f"exit code {other.code}: {other.last_line}"
                return Trial(Outcome.FELL_SHORT, did, told)
        if took > _MOST_SECONDS:
            return Trial(Outcome.FELL_SHORT, did, f"the other took {took:.0f} s to end")
        return self._to_the_end(f"{did}, all ended {took:.0f} s later", rng.random())

    def signal(self, case: Case) -> Trial:
        """Asks one process to stop; all save, and say to go on."""
        rng = case.rng
        instant, rank = self._instant(rng), rng.randrange(NUM_PROCESSES)
        signum = rng.choice(SIGNALS)
        did = f"process {rank} sent {signum.name} after {instant:.2f} s"
        self._empty()
        began = time.monotonic()
        said = self._run((rank, instant, signum))
        took = time.monotonic() - began - instant
        # Before Python reaches the command it acts by default; the other learns of that.
        early = {-signum, Exit.SAVED} if said[rank].code != 0 else {0}
        others = {Exit.SAVED, Exit.LOST} if said[rank].code != 0 else {0}
        for i, one in enumerate(said):
            if one.code not in (early if i == rank else others) or "Traceback" in one.err:
                told = f"process {i}: exit code {one.code}: {one.last_line}"
                return Trial(Outcome.FELL_SHORT, did, told)
        codes = [one.code for one in said]
        if set(codes) == {Exit.SAVED} and took > _GRACE_SECONDS:
            return Trial(Outcome.FELL_SHORT, did, f"took {took:.0f} s to save")
        return self._to_the_end(f"{did}: {codes} {took:.0f} s later", rng.random())

    def _instant(self, rng: random.Random) -> float:
        """Any once the processes have met; before it they wait five minutes for all."""
        return rng.uniform(min(_MET_SECONDS, self.seconds / 2), self.seconds)

    def _to_the_end(self, did: str, chance: float) -> Trial:
        """Goes on, in half of the cases in one process."""
        said = self._run(number=1 if chance < 0.5 else NUM_PROCESSES)
        found, expected = content(self._root), content(self._bench.whole)
        left = self._root.glob("checkpoints/in_training*")
        trials = [judge(did, one, []) for one in said]
        # The page says on how many devices a study ran, and that was one.
        other = [x for x in differing(found, expected) if x != "report.html"]
        other += map(str, left)
        return max(*trials, judge(did, said[0], other), key=lambda trial: trial.outcome)

    def _run(self, *sent, number: int = NUM_PROCESSES) -> list[Said]:
        """Runs the processes to their ends; `sent` has rank, seconds and signal."""
        job = (f"--coordinator=localhost:{free_port()}", f"--num_processes={number}")
        commands = [
            self._bench.command(
                self._root,
                *job,
                f"--process_id={rank}",
                signals=tuple((at, which) for i, at, which in sent if i == rank),
                variables=_DEVICES,
            )
            for rank in range(number)
        ]
        return [Said(*one) for one in self._commands.run_together(commands)]

    def _empty(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

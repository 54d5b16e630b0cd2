"""Table: what was tried, and what came of it, a line a kind."""

import re
from collections import Counter
from collections.abc import Mapping

from faults.kinds import KINDS, Batch
from faults.outcomes import Case, Outcome, Trial

_TITLES = ("tried", "identical", "clear error", "fell short")


def as_text(rows: Mapping[str, Batch]) -> str:
    """In columns, for a terminal."""
    lines = [f"{'':36}" + "".join(f"{title:>13}" for title in _TITLES)]
    for name, batch in rows.items():
        cells = "".join(f"{number:>13,}" for number in _numbers(batch))
        lines.append(f"{KINDS[name].title:36}{cells}")
    return "\n".join(lines)


def as_markdown(rows: Mapping[str, Batch]) -> str:
    """The same for docs."""
    lines = [f"| | {' | '.join(_TITLES)} |", "|---|" + "---:|" * len(_TITLES)]
    for name, batch in rows.items():
        cells = " | ".join(f"{number:,}" for number in _numbers(batch))
        lines.append(f"| {KINDS[name].title} | {cells} |")
    return "\n".join(lines)


def line(name: str, batch: Batch) -> str:
    """One kind, for who waits."""
    pairs = zip(_TITLES, _numbers(batch), strict=True)
    return f"{name}: " + ", ".join(f"{number:,} {title}" for title, number in pairs)


class Reproductions:
    """What fell short, in lines that say how to try it again; three that are alike."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def of(self, case: Case, trial: Trial) -> str | None:
        """The line of a case; None if one like it was told."""
        shape = re.match(r"other: [^,]*|exit code \S+ [\w.]+|\w+", trial.told)
        alike = f"{case.kind} {re.sub(r'[0-9]+', '', shape[0] if shape else '')}"
        self._counts[alike] += 1
        if self._counts[alike] > 3:
            return None
        again = f"--only={case.kind} --seed={case.seed} --case={case.number}"
        return f"{again}: {trial.did}: {trial.told}"


def _numbers(batch: Batch) -> list[int]:
    return [sum(batch.outcomes.values()), *(batch.outcomes[x] for x in Outcome)]

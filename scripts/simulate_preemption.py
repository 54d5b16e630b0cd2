"""Simulates a sweep whose jobs are preempted, one JSON line per rate of preemptions.

  python scripts/simulate_preemption.py [--points=10000] [--workers=100]
      [--study_minutes=8] [--rates=0.1,1,10]

Each worker runs one point of the sweep after the other. Preemptions come at random
instants (a Poisson process), and `--rates` is their number per hour and worker. After
some, the job can save before it exits. Others kill it, and the work since the last
checkpoint is lost. In both cases the point returns to the end of the queue, and its
worker is away for a while.

Each attempt begins with `--startup_seconds` of imports and compilation. `ideal` is the
number of points an hour without preemptions, with one start per point. `fraction` is the
share of it that is reached. Default times are those of docs/benchmarks/h100.md for the
paper's LeNet study.
"""

import argparse
import collections
import heapq
import json
import math

import numpy as np


def simulate(
    rng: np.random.Generator,
    *,
    points: int,
    workers: int,
    study_s: float,
    startup_s: float,
    checkpoint_s: float,
    away_s: float,
    rate_s: float,
    told: float,
) -> tuple[float, int, float]:
    """Runs a sweep to its end.

    Returns:
      The seconds until all points are done, the number of preemptions, and the seconds of
      training that were lost.
    """
    queue = collections.deque([study_s] * points)  # seconds that each still has to train
    free = [0.0] * workers  # when each worker is free again
    ends, preemptions, lost = 0.0, 0, 0.0
    while queue:
        now, left = heapq.heappop(free), queue.popleft()
        until = rng.exponential(1 / rate_s) if rate_s else math.inf
        if until >= startup_s + left:
            now += startup_s + left
            ends = max(ends, now)
        else:
            trained = max(0.0, until - startup_s)
            kept = trained
            if rng.random() >= told:
                # Checkpoints are at multiples of `checkpoint_s` in the whole training.
                begun = study_s - left
                last = math.floor((begun + trained) / checkpoint_s) * checkpoint_s
                kept = max(0.0, last - begun)
            lost += trained - kept
            preemptions += 1
            queue.append(left - kept)
            now += until + away_s
        heapq.heappush(free, now)
    return ends, preemptions, lost


def main() -> None:
    """Simulates each rate."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--study_minutes", type=float, default=8)
    parser.add_argument("--startup_seconds", type=float, default=25)
    parser.add_argument("--checkpoint_seconds", type=float, default=10)
    parser.add_argument("--away_seconds", type=float, default=120)
    parser.add_argument(
        "--told", type=float, default=0.5, help="share of preemptions that allow a save"
    )
    parser.add_argument("--rates", default="0.1,1,10", help="per hour and worker")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    study_s = 60 * args.study_minutes
    ideal = 3600 * args.workers / (study_s + args.startup_seconds)
    for rate in map(float, args.rates.split(",")):
        seconds, preemptions, lost = simulate(
            np.random.default_rng(args.seed),
            points=args.points,
            workers=args.workers,
            study_s=study_s,
            startup_s=args.startup_seconds,
            checkpoint_s=args.checkpoint_seconds,
            away_s=args.away_seconds,
            rate_s=rate / 3600,
            told=args.told,
        )
        an_hour = 3600 * args.points / seconds
        print(
            json.dumps(
                {
                    "measurement": "preemption",
                    "preemptions_per_hour": rate,
                    "points_per_hour": round(an_hour, 1),
                    "ideal": round(ideal, 1),
                    "fraction": round(an_hour / ideal, 3),
                    "preemptions": preemptions,
                    "lost_training_fraction": round(lost / (args.points * study_s), 4),
                }
            )
        )


if __name__ == "__main__":
    main()

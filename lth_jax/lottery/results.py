"""Results: the files that a job leaves in its study's workdir."""

import itertools

import jax
import numpy as np

from lth_jax import devices, masks
from lth_jax.config import StudyConfig, rewind_step
from lth_jax.lottery.arms import Start
from lth_jax.lottery.begun import Training
from lth_jax.lottery.jobs import Job
from lth_jax.lottery.trainer import Measured
from lth_jax.store import correct, histograms, records, tickets
from lth_jax.store.correct import Correct
from lth_jax.store.files import is_lost, is_sealed
from lth_jax.store.records import Curve, Run
from lth_jax.store.workdir import Workdir
from lth_jax.training import Curves, Metrics, TrainState
from lth_jax.version import VERSION


def is_finished(config: StudyConfig, workdir: Workdir) -> bool:
    """Whether all files of a study exist. The contents of small files are checked too."""
    jobs = [("ticket", 0), *itertools.product(config.arms, range(1, config.num_levels))]
    sealed = [records.path_of(workdir.records, arm, level) for arm, level in jobs]
    sealed.append(workdir.environment)
    kept = [workdir.init]
    if rewind_step(config.rewind, 1.0, config.num_steps) > 0:
        kept.append(workdir.rewind)
    for level in range(config.num_levels):
        sealed += workdir.side_files(level)
        kept.append(workdir.level(level))
    if any(is_lost(correct.path_of(workdir.records, *job)) for job in jobs):
        return False
    are_there = all(path.is_dir() for path in kept) and all(map(is_sealed, sealed))
    return are_there and not workdir.all_in_training()


@devices.by_first
def write_ticket(workdir: Workdir, job: Job, start: Start) -> None:
    """Writes the tickets that a job trains, in a file of their own."""
    study = job.study
    provenance = {
        "level": job.level,
        "rewind_step": study.rewind_step,
        "num_replicates": study.config.num_replicates,
        "first_replicate": study.config.first_replicate,
        "seed": study.config.seed,
        "lth_jax": VERSION,
        "input_shape": study.splits.train.inputs.shape[1:],
        "config": workdir.config.read_text(encoding="utf-8"),
    }
    path = workdir.ticket(job.level)
    tickets.save(path, start.state.params, start.masks, provenance)


@devices.by_first
def write_histograms(workdir: Workdir, job: Job, start: Start, end: TrainState) -> None:
    """Writes histograms of the surviving weights at a job's start and end."""
    path = workdir.weight_histograms(job.level)
    prunable = job.study.prunable
    histograms.save(path, start.state.params, end.params, start.masks, prunable)


@devices.by_first
def write_records(
    workdir: Workdir, job: Job, training: Training, measured: Measured
) -> None:
    """Writes the records of a job. Once they exist, the job is done."""
    path = records.path_of(workdir.records, job.arm, job.level)
    records.write(path, runs(job, training, measured))


def runs(job: Job, training: Training, measured: Measured) -> list[Run]:
    """The runs of a job's members, with all that was measured, by replicate."""
    steps, due, found = job.eval_steps, job.test_due, []
    # Slicing over several devices can deadlock on CPU. The state is not read.
    bird = training.early_bird
    rests = bird and (bird.step, bird.distance)
    read = training.masks, training.best.step, training.curves, measured, rests
    on_host = jax.device_get(read)
    for m, member in enumerate(job.members):
        kept, best, own, also, rest = jax.tree.map(lambda x, m=m: x[m], on_host)
        count = masks.total_count(kept)
        curves = {("train", "batch_loss"): Curve(steps, np.asarray(own.batch_loss))}
        curves |= _curves("validation", steps, own.validation)
        curves |= _curves("test", steps[due], jax.tree.map(lambda v: v[due], own.test))
        curves |= _curves("train", steps[-1:], also.train_at_end)
        first = np.array([job.first_step])
        curves |= _curves("test", np.array([best]), also.test_at_best, "early_stop_")
        curves |= _curves("test", first, also.test_at_start, "start_")
        weights_left = Curve(np.array([job.counted_from]), np.array([count.kept]))
        curves["mask", "weights_left"] = weights_left
        if rest is not None:
            step, distance = map(np.atleast_1d, rest)
            curves["mask", "early_bird_distance"] = Curve(step, distance)
        density = count.kept / count.total
        found.append(Run(member.arm, member.replicate, member.level, density, curves))
    return found


@devices.by_first
def write_correct(workdir: Workdir, job: Job, measured: Measured) -> None:
    """Writes which test examples a job's members got right. Call it before its records.

    It writes nothing if an answer can be half right, as with several labels an example.
    """
    found = measured.accuracies
    if found is None or not np.isin(found, (0, 1)).all():
        return
    path = correct.path_of(workdir.records, job.arm, job.level)
    correct.write(path, Correct(*(values == 1 for values in found)))


def by_tag(curves: Curves) -> dict[str, np.ndarray]:
    """A job's curves for trackers, float32[R, V], such as "test/loss"."""
    tags = {"train/batch_loss": np.asarray(curves.batch_loss)}
    for split, metrics in (("validation", curves.validation), ("test", curves.test)):
        for name, values in metrics.items():
            tags[f"{split}/{name}"] = np.asarray(values)
    return tags


def _curves(
    split: str, steps: np.ndarray, metrics: Metrics, prefix: str = ""
) -> dict[tuple[str, str], Curve]:
    """One member's curves of a split, by split and metric."""
    names = sorted(metrics, key=lambda name: name != "loss")
    return {
        (split, prefix + name): Curve(steps, np.atleast_1d(np.asarray(metrics[name])))
        for name in names
    }

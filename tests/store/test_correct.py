import numpy as np
import pytest
from support.studies import make_run

from lth_jax.store import correct
from lth_jax.store.correct import Correct
from lth_jax.store.records import Curve, RecordsError

KEY = "reinit", 3


def made(nets=3, examples=27):
    rng = np.random.default_rng(examples)
    return Correct(*(rng.random((2, nets, examples)) < 0.7))


def runs_of(found, key=KEY):
    """Runs that reached what they have correct."""
    runs = []
    for replicate, right in enumerate(found.early_stop):
        run = make_run(*key, replicate, 400, right.mean())
        reached = np.float32(right.mean())
        noted = {("test", "early_stop_accuracy"): Curve(np.array([400]), [reached])}
        runs.append(run._replace(curves=run.curves | noted))
    return runs


def written(folder, found, key=KEY):
    path = correct.path_of(folder, *key)
    correct.write(path, found)
    return path


@pytest.mark.parametrize("examples", [1, 8, 27, 1_000])
def test_what_is_written_is_read(tmp_path, examples):
    found = made(examples=examples)
    written(tmp_path, found)
    others = runs_of(made(), ("ticket", 0))  # of which there is no file
    (key, read), *more = correct.read(tmp_path, [*runs_of(found)[::-1], *others]).items()
    assert key == KEY and not more
    for before, after in zip(found, read, strict=True):
        assert after.dtype == bool
        np.testing.assert_array_equal(before, after)


def test_a_file_is_small_the_same_each_time_and_numpys(tmp_path):
    found = made(nets=10, examples=10_000)
    path = written(tmp_path, found)
    first = path.read_bytes()
    assert len(first) < 2 * 10 * 10_000 / 8 + 1_000  # a bit an answer
    assert written(tmp_path, found).read_bytes() == first
    with np.load(path) as arrays:
        bits = np.unpackbits(arrays["final"], axis=1, count=int(arrays["num_examples"]))
    np.testing.assert_array_equal(bits, found.final)


def test_a_damaged_file_is_left_out_and_named(tmp_path, caplog):
    found = made()
    path, runs = written(tmp_path, found), runs_of(found)
    whole, told = path.read_bytes(), 0
    for at in range(0, len(whole), 3):
        for damaged in (
            whole[:at],
            whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :],
        ):
            path.write_bytes(damaged)
            caplog.clear()
            if read := correct.read(tmp_path, runs):  # in a place that says nothing
                np.testing.assert_array_equal(read[KEY], found)
            else:
                (message,) = caplog.messages
                assert str(path) in message and "makes it again" in message
                told += 1
    assert told > len(whole) / 3


def other_examples(found):
    return Correct(found.early_stop[:, :-1], found.final)


def other_members(found):
    return Correct(*(x[:-1] for x in found))


def other_answers(found):
    return found._replace(early_stop=~found.early_stop)


@pytest.mark.parametrize("change", [other_examples, other_members, other_answers])
def test_what_does_not_fit_the_records_is_left_out(tmp_path, caplog, change):
    found = made()
    written(tmp_path, change(found))
    assert correct.read(tmp_path, runs_of(found)) == {}
    assert "not the answers of these records" in caplog.text


def test_answers_of_shards_are_put_together_where_all_have_them():
    whole, other = made(nets=5), made(nets=5)
    shards = [
        {KEY: Correct(*(x[at] for x in whole)), ("ticket", at.start): other}
        for at in (slice(0, 2), slice(2, 5))
    ]
    (key, found), *more = correct.merged(shards).items()
    assert key == KEY and not more
    for ours, theirs in zip(found, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_answers_to_other_examples_are_of_no_study():
    with pytest.raises(RecordsError, match="level 3: of 8 and 27 test examples"):
        correct.merged([{KEY: made()}, {KEY: made(examples=8)}])

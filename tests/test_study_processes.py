"""What a study runs, some at a time."""

from study.processes import Ended, logged, printed, run_all


def test_one_that_fails_leaves_the_others(tmp_path):
    done = []

    def work(number):
        if number == 1:
            logged(["false"], tmp_path / "log")
        printed(["echo", str(number)], tmp_path / f"{number}.txt")
        done.append(number)

    (failure,) = run_all(work, [1, 2, 3], jobs=2)
    assert failure == f"false failed; see {tmp_path / 'log'}"
    assert sorted(done) == [2, 3] and (tmp_path / "2.txt").read_text() == "2\n"


def test_all_end_together_after_some_seconds(tmp_path):
    ended = []

    def work(number):
        try:
            logged(["sleep", "100"], tmp_path / f"{number}.log")
        except Ended:
            ended.append(number)
            raise

    assert run_all(work, [1, 2, 3], jobs=2, stop_after=0.3) == []
    assert sorted(ended) == [1, 2]

"""Programs run otherwise than the checkout says."""

from bench.programs import Program

PROGRAM = Program(("nice", "-n", "5", "celery", "-n", "worker@%h", "--concurrency", "2"), {"A": "1"}, stop_s=3)


def test_an_option_is_replaced_or_added() -> None:
    assert PROGRAM.with_option("--concurrency", "4").argv[-2:] == ("--concurrency", "4")
    assert PROGRAM.with_option("--pool", "solo").argv == (*PROGRAM.argv, "--pool", "solo")


def test_niceness_is_replaced_or_added() -> None:
    assert PROGRAM.with_niceness(10).argv == ("nice", "-n", "10", *PROGRAM.argv[3:])
    assert Program(("celery",), {}, stop_s=3).with_niceness(0).argv == ("nice", "-n", "0", "celery")


def test_words_and_variables_are_replaced() -> None:
    changed = PROGRAM.with_words({"2": "3"}).with_env({"B": "2"})
    assert changed.argv[-1] == "3"
    assert changed.env == {"A": "1", "B": "2"}

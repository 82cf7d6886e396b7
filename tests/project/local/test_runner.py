"""The runner names a part that dies and stops everything."""

import io
import os
from pathlib import Path

import pytest

from project.local.errors import LocalError
from project.local.programs import Program
from project.local.runner import LogFollower, Runner
from project.local.waiting import wait_until


def make_runner(tmp_path: Path, *programs: Program) -> Runner:
    return Runner(programs, env=dict(os.environ), log_folder=tmp_path / "log", record_folder=tmp_path / "run")


def test_a_program_that_dies_stops_the_others_and_is_named(tmp_path: Path) -> None:
    steady = Program("steady", ["/bin/sleep", "1000"])
    fragile = Program("fragile", ["/bin/sh", "-c", "echo out of luck; exit 7"])
    with make_runner(tmp_path, steady, fragile) as runner:
        runner.start()
        with pytest.raises(
            LocalError, match=r"(?s)fragile has ended by itself \(exit status 7\).*out of luck"
        ):
            runner.serve()
    assert not runner.children["steady"].is_running()


def test_each_program_has_its_own_environment_on_top(tmp_path: Path) -> None:
    with make_runner(
        tmp_path, Program("speaker", ["/bin/sh", "-c", "echo $GREETING"], env={"GREETING": "hello"})
    ) as runner:
        runner.start()
        assert runner.children["speaker"].wait(20)
        assert runner.children["speaker"].log_text() == "hello\n"


def test_a_program_gets_its_time_to_finish(tmp_path: Path) -> None:
    finishing = Program(
        "finishing",
        [
            "/bin/sh",
            "-c",
            "trap 'sleep 0.5; echo finished; exit 0' TERM; echo ready; while :; do sleep 0.1; done",
        ],
    )
    with make_runner(tmp_path, finishing) as runner:
        runner.start()
        assert wait_until(lambda: "ready" in runner.children["finishing"].log_text(), timeout_s=20)
    assert runner.children["finishing"].log_text() == "ready\nfinished\n"
    assert runner.children["finishing"].exit_status == 0


def test_what_a_killed_run_has_left_is_stopped_first(tmp_path: Path) -> None:
    program = Program("steady", ["/bin/sleep", "1000"])
    first, second = make_runner(tmp_path, program), make_runner(tmp_path, program)
    first.start()
    with second:
        second.start()
        assert first.children["steady"].wait(10)
        assert second.children["steady"].is_running()


def test_followed_lines_carry_their_programs_name_and_old_ones_are_left_out(tmp_path: Path) -> None:
    logs = {name: tmp_path / name for name in ("web", "worker")}
    for path in logs.values():
        path.write_text("old\n")
    out = io.StringIO()
    follower = LogFollower(logs, out)
    follower.start()
    with logs["web"].open("a") as web, logs["worker"].open("a") as worker:
        web.write("served\n")
        worker.write("worked\n")
    follower.finish()
    assert sorted(out.getvalue().splitlines()) == ["web    | served", "worker | worked"]

"""The folders of concurrent test runs."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from project.local.state import ROOT
from tests.run_folder import PREFIX, run_folder

HOLD = """
import sys, time
from pathlib import Path
from tests.run_folder import run_folder
with run_folder(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


def folders(parent: Path) -> list[Path]:
    return [path for path in parent.glob(f"{PREFIX}*") if path.is_dir()]


def test_folder_goes_with_its_run(tmp_path: Path) -> None:
    with run_folder(tmp_path) as folder:
        (folder / "data").mkdir()
        assert folders(tmp_path) == [folder]
    assert folders(tmp_path) == []


def test_folder_of_a_running_run_is_left_alone_and_that_of_a_killed_one_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with run_folder(tmp_path):
            assert theirs.is_dir()
        other.send_signal(signal.SIGKILL)
    assert folders(tmp_path) == [theirs]
    with run_folder(tmp_path) as folder:
        assert folders(tmp_path) == [folder]


def test_runs_that_start_and_end_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    def live(number: int) -> bool:
        with run_folder(tmp_path) as folder:
            (folder / str(number)).mkdir()
            return (folder / str(number)).is_dir()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(live, range(200)))
    assert folders(tmp_path) == []

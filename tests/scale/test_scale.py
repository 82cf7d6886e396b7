"""`bin/scale-test`: its documentation, and one complete case."""

import subprocess
import sys

import pytest

from project.local.state import ROOT
from tests.scale.cases import CASES


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.scale", *args], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_documentation_has_a_line_for_each_case() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    assert [case.name for case in CASES if f"| {case.title} |" not in text] == []


def test_an_unknown_case_is_refused_with_the_names() -> None:
    refused = run("--only", "kafka")
    assert refused.returncode == 2
    assert "rabbitmq-quorum" in refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_case_runs_from_beginning_to_end() -> None:
    done = run("--only", "valkey")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost: 0" in done.stdout

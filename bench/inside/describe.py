"""Runs inside the measured project: prints its programs and their environment as JSON, by its own idea of
what they are.

`python describe.py '{"web_port": …}'` with the project's folder as the working one. The keys are the names of
the variables below.
"""

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path

from project.local import programs
from project.local.simulator import prepare_simulator


def main() -> None:
    given = json.loads(sys.argv[1])
    folder = Path(given["folder"])
    merchant = prepare_simulator(folder / "simulator")
    env = programs.build_environment(
        database_url=given["database_url"],
        valkey_url=given["valkey_url"],
        web_port=given["web_port"],
        simulator_port=given["simulator_port"],
        simulator_env=merchant.environment(),
        secret_key=given["secret_key"],
        demo_password=given["secret_key"],
    )
    if importlib.util.find_spec("shop.metric_files"):  # checkouts from before count each process for itself
        env["PROMETHEUS_MULTIPROC_DIR"] = str(folder / "metrics")
    made = [
        programs.web_program(given["web_port"]),
        programs.worker_program(),
        programs.simulator_program(given["simulator_port"], folder / "simulator"),
        # Checkouts from before Alipay had a worker of its own have none.
        *([programs.gateway_program()] if hasattr(programs, "gateway_program") else []),
        _beat_program(folder),
    ]
    json.dump(
        {
            "env": env,
            "programs": {
                item.name: {"argv": item.argv, "env": dict(item.env), "stop_s": item.stop_s} for item in made
            },
        },
        sys.stdout,
    )


def _beat_program(folder: Path) -> programs.Program:
    """A project of an earlier day keeps beat's schedule in a file."""
    make: Callable[..., programs.Program] = programs.beat_program
    return make(folder / "celerybeat-schedule") if inspect.signature(make).parameters else make()


if __name__ == "__main__":
    main()

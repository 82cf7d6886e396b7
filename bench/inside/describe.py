"""Runs inside the measured project: prints its programs and their environment as JSON. Earlier checkouts have
no gateway worker, no shared metrics, and keep beat's schedule in a file.
"""

import importlib.util
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from project.local import programs
from project.local.simulator import prepare_simulator

given = json.loads(sys.argv[1])
folder = Path(given.pop("folder"))
merchant, password = prepare_simulator(folder / "simulator"), given["secret_key"]
env = programs.build_environment(**given, simulator_env=merchant.environment(), demo_password=password)
if importlib.util.find_spec("shop.metric_files"):
    env["PROMETHEUS_MULTIPROC_DIR"] = str(folder / "metrics")
make_beat: Any = programs.beat_program
has_schedule_file = bool(inspect.signature(make_beat).parameters)
beat = make_beat(folder / "celerybeat-schedule") if has_schedule_file else make_beat()
made = [
    programs.web_program(given["web_port"]),
    programs.worker_program(),
    programs.simulator_program(given["simulator_port"], folder / "simulator"),
    beat,
    *([programs.gateway_program()] if hasattr(programs, "gateway_program") else []),
]
json.dump({"env": env, "programs": [vars(item) for item in made]}, sys.stdout)

"""Each command in the runbook and docs/deploy.md is valid: docker-compose 1.29 and Compose v2 know it, and
its service, container path, Django command and variables exist.

Their effects were tried by hand; this keeps them from going stale.
"""

import re
import shlex
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.core.management import get_commands

from project.local.state import ROOT

DOCUMENTS = [ROOT / "docs" / "runbook.md", ROOT / "docs" / "deploy.md"]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
# Placeholders for a service's name.
PLACEHOLDER = "SERVICE"
# Options that docker-compose 1.29 and Compose v2 both know, with True where a value follows.
OPTIONS: dict[str, dict[str, bool]] = {
    "build": {"--pull": False},
    "down": {"--volumes": False},
    "exec": {"-T": False, "--user": True},
    "logs": {"--tail": True, "--timestamps": False},
    "ps": {"-q": False},
    "pull": {},
    "restart": {},
    "run": {"--rm": False, "--no-deps": False, "-T": False, "--user": True},
    "stop": {},
    "up": {"-d": False, "--build": False, "--no-deps": False, "--no-recreate": False, "--scale": True},
}
# These take one service and a command to run in it.
RUNNERS = {"exec", "run"}
COMMANDS_OF_SERVERS = {
    "db": {"pg_dump", "dropdb", "pg_restore", "sh"},
    "store": {"sh"},
    "redis": {"sh", "mv"},
}


@dataclass(frozen=True)
class Command:
    """One call of docker-compose: its subcommand, its services, and what runs inside."""

    name: str
    services: list[str]
    inside: list[str]


def lines_of(text: str) -> list[str]:
    """Code between backticks or fences that calls docker-compose."""
    fenced: list[str] = []
    prose: list[str] = []
    is_fenced = False
    for line in text.splitlines():
        if line.strip().startswith("```"):
            is_fenced = not is_fenced
        else:
            (fenced if is_fenced else prose).append(line.strip())
    inline = re.findall(r"`([^`]+)`", "\n".join(prose))
    return [line.replace("\n", " ") for line in (*fenced, *inline) if "docker-compose " in line]


def calls_in(line: str) -> list[str]:
    """The calls of docker-compose in a line of shell, without what they are piped into."""
    bare = re.sub(r"\$\(date [^)]*\)", "now", line)
    calls = re.findall(r"docker-compose ((?:'[^']*'|\"[^\"]*\"|[^|&;<>)#'\"])+)", bare)
    return [call.strip() for call in calls]


def parse(call: str) -> Command:
    """Raises: AssertionError when docker-compose wouldn't take it."""
    name, *words = shlex.split(call)
    assert name in OPTIONS, f"{name} is no subcommand that both know"
    services: list[str] = []
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            assert word in OPTIONS[name], f"{name} {word} isn't known to both"
            if OPTIONS[name][word]:
                words.pop(0)
        else:
            services.append(word)
            if name in RUNNERS:
                return Command(name, services, words)
    return Command(name, services, [])


CALLS = [
    pytest.param(call, id=f"{path.stem}: {call}")
    for path in DOCUMENTS
    for line in lines_of(path.read_text())
    for call in calls_in(line)
]


@pytest.mark.parametrize("call", CALLS)
def test_a_command_of_the_documents_can_be_typed(call: str) -> None:
    command = parse(call)
    assert set(command.services) <= {*SERVICES, PLACEHOLDER}
    match command.inside:
        case []:
            assert command.name != "exec"
        case ["python", "manage.py", django, *_]:
            assert django in get_commands()
        case ["python", path, *arguments]:
            assert (ROOT / path).is_file()
            assert all(re.fullmatch(r"8000/(readyz|healthz|metrics)", argument) for argument in arguments)
        case [program, *_]:
            assert program in COMMANDS_OF_SERVERS[command.services[0]]


@pytest.mark.parametrize(
    "call",
    ["logs --since 15m web", "start-all", "exec web python manage.py nothing", "stop nobody", "exec web"],
)
def test_the_check_of_commands_finds_a_wrong_one(call: str) -> None:
    with pytest.raises(AssertionError):
        test_a_command_of_the_documents_can_be_typed(call)


def test_all_commands_are_looked_at() -> None:
    """Each line that names docker-compose with a subcommand is among them."""
    for path in DOCUMENTS:
        text = path.read_text()
        assert len(re.findall(r"docker-compose (?:exec|logs|ps|restart|run|stop|up)\b", text)) == sum(
            bool(re.match(r"(?:exec|logs|ps|restart|run|stop|up)\b", call))
            for line in lines_of(text)
            for call in calls_in(line)
        )


def test_the_documents_name_variables_that_exist() -> None:
    example = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)[`=]", DOCUMENTS[0].read_text()))
    assert len(named) > 8
    assert named - example == set()


def test_what_the_runbook_looks_for_in_logs_is_what_the_shop_writes() -> None:
    """Our own events, by name; Celery's were seen in containers."""
    code = "".join(
        path.read_text() for app in ("payments", "shop", "worker") for path in (ROOT / app).rglob("*.py")
    )
    text = DOCUMENTS[0].read_text()
    events = {
        *re.findall(r"`([a-z]+_[a-z_]+)`", text),
        *(
            event
            for grep in re.findall(r"grep ([^`]+)`", text)
            for event in re.findall(r"[a-z]+_[a-z_]+", grep)
        ),
    }
    assert {"work_failed", "job_not_sent", "beat_without_database", "gateway_is_silent"} <= events
    tables = {model._meta.db_table for model in apps.get_models()}
    assert {event for event in events if f'"{event}"' not in code} - tables == set()

"""CI pins actions by commit and packages by version, and has read-only permissions."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCK = (ROOT / "requirements-ci.txt").read_text(encoding="utf-8")
workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])


@workflows
def test_actions_are_pinned_by_commit(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@workflows
def test_workflows_have_read_only_permissions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\npermissions:\n  contents: read\njobs:\n" in text
    assert text.count("permissions:") == 1
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")


def name_of(requirement: str) -> str:
    return re.split(r"[\[=<>!~]", requirement)[0].lower().replace("_", "-")


def test_every_required_package_is_pinned_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    required = {name_of(item) for group in (project["dependencies"], *extras) for item in group}
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line) for line in lines)
    pinned = [name_of(line) for line in lines]
    assert len(pinned) == len(set(pinned))
    assert required - {"plainnet"} <= set(pinned)


def test_makefile_installs_pinned_packages() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = makefile.replace("\\\n", "").splitlines()
    installs = [line for line in recipes if "$(INSTALL)" in line and "venv-lock" not in line]
    assert len(installs) == 4
    assert all("$(INSTALL) -c " in line for line in installs)


def test_dependabot_updates_packages_and_actions() -> None:
    text = (ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8")
    assert re.findall(r"package-ecosystem: (\S+)", text) == ["pip", "github-actions"]

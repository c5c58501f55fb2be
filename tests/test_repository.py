"""What must hold of the repository as a whole: its files, locks, pages and commands. Reads tracked files only."""

import importlib.util
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dagster_project.lifecycle.stages import PHASE_OF_STAGE
from dagster_project.settings import CANONICAL

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")
TEST_COMMAND = "python3 .ci/bootstrap.py pytest"
DEMO_COMMAND = "python3 .ci/bootstrap.py winback demo"

# Written so that no pattern matches its own text.
REGISTRIES = (
    r"\bpypi\.(?:org|python)",
    r"\bpythonhosted\.(?:org)",
    r"\bconda\.anaconda\b",
    r"\bregistry\.(?:npmjs)",
    r"https?://\S+/simple\b",
    r"index-url[ =]+(?:https?|file):",
    r"\bfind-links[ =]+\S",
)
MACHINE_PATHS = (r"(?<![\w./~-])/(?:work|root)/\w", r"(?<![\w./~-])/(?:home|Users)/\w+/", r"\b[A-Z]:\\+Users\\")
PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+(?:\[[\w,-]+\])?)==(?P<version>[^\s;]+)(?: ; [^\\]+?)?"
    r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+"
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)")
RULE = re.compile(r"^(?P<target>[a-z]+):.*?## (?P<said>.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every file that git tracks and that still exists."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("NOT A GIT CHECKOUT: which files are tracked cannot be told, so they were not looked at")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def text_or_none(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def matches(paths: list[Path], patterns: tuple[str, ...]) -> list[str]:
    """`file:line: text` of every match."""
    wanted = re.compile("|".join(patterns))
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate((text_or_none(path) or "").splitlines(), start=1)
        if wanted.search(line)
    ]


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return {canonicalize_name(found["name"].partition("[")[0]): found["version"] for found in PINNED.finditer(text)}


def project() -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return read


def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / ".ci" / "bootstrap.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_tracked_file_names_a_package_registry(tracked: list[Path]) -> None:
    assert matches(tracked, REGISTRIES) == []


def test_no_tracked_file_names_a_path_of_one_machine(tracked: list[Path]) -> None:
    assert matches(tracked, MACHINE_PATHS) == []


@pytest.mark.parametrize(
    "line",
    ["https://pypi" + ".org/simple", "--extra-index-url https" + "://a.example/x", "pip --find-links" + " wheels"],
)
def test_a_registry_in_a_line_is_seen(line: str) -> None:
    assert re.search("|".join(REGISTRIES), line) is not None


@pytest.mark.parametrize(
    "line", ["see /ro" + "ot/x", '"/wo' + 'rk/main"', "(/ho" + "me/ann/data)", "C:" + r"\Users\ann"]
)
def test_a_machine_path_in_a_line_is_seen(line: str) -> None:
    assert re.search("|".join(MACHINE_PATHS), line) is not None


@pytest.mark.parametrize("line", ["data/work/x", "https://a.example/home/ann/", "reports/<as_of>/", "../root/x"])
def test_a_relative_path_or_address_is_no_machine_path(line: str) -> None:
    assert re.search("|".join(MACHINE_PATHS), line) is None


def test_nothing_that_a_night_makes_is_tracked(tracked: list[Path]) -> None:
    names = [path.relative_to(ROOT).as_posix() for path in tracked]
    kept = ("data/README.md", "data/examples/", "reports/README.md")
    assert [name for name in names if name.startswith(("data/", "reports/")) and not name.startswith(kept)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert PINNED.sub("", text).strip() == ""
    assert "://" not in text
    assert "@" not in text


@pytest.mark.parametrize(("lock", "extras"), [("requirements.lock", ()), ("requirements-dev.lock", ("dev",))])
def test_locks_pin_what_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    wanted = [
        *project()["dependencies"],
        *(one for extra in extras for one in project()["optional-dependencies"][extra]),
    ]
    pinned = pins(lock)
    unmet = [
        text
        for text in wanted
        if not (requirement := Requirement(text)).specifier.contains(
            pinned.get(canonicalize_name(requirement.name), "0"), prereleases=True
        )
    ]
    assert unmet == []


def test_both_locks_pin_the_same_versions() -> None:
    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: development.get(name) for name in runtime} == runtime


def test_every_decision_is_indexed_and_numbered_without_gaps() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [name for name in records if f"(decisions/{name})" not in index] == []
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))


def test_a_decision_says_context_decision_rejected_evidence_consequences() -> None:
    wanted = ["Context", "Decision", "Rejected", "Evidence", "Consequences"]
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert re.findall(r"^## (\w+)", text, re.MULTILINE) == wanted, path.name


def test_links_between_pages_lead_somewhere(tracked: list[Path]) -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in tracked
        if path.suffix == ".md"
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_glossary_tells_every_stage_with_its_phase() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| \d+ \| \*\*(\w+)\*\* \| (\w+) \|", text, re.MULTILINE)
    assert dict(told) == PHASE_OF_STAGE
    assert len(told) == 15


def test_the_glossary_names_every_canonical_table() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [table for table in CANONICAL if table not in text] == []


def test_make_tells_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split()
    assert [found["target"] for found in RULE.finditer(makefile)] == phony


@pytest.mark.skipif(shutil.which("make") is None, reason="NO make ON THIS MACHINE: `make help` was not run")
def test_make_alone_lists_the_targets() -> None:
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rules = RULE.finditer((ROOT / "Makefile").read_text(encoding="utf-8"))
    assert [line.split(maxsplit=1) for line in said.splitlines()] == [[r["target"], r["said"]] for r in rules]


def test_the_version_stands_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(project()['version'])}\b", text) is not None
    assert "## [Unreleased]" in text


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert [line.strip() for line in text.strip().splitlines()[:2]] == ["Apache License", "Version 2.0, January 2004"]
    assert project()["license"] == "Apache-2.0"


def test_the_readme_gives_the_commands_that_ci_runs() -> None:
    readme = [line.strip(" $") for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()]
    given = [line.partition("#")[0].strip() for line in readme]
    assert TEST_COMMAND in given
    assert DEMO_COMMAND in given
    assert "\nrun pytest\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_ci_and_make_check_the_same_things() -> None:
    ci = re.findall(r"^run (.+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    check = re.findall(r"^\t@\$\(RUN\) (.+)$", makefile.partition("\ncheck:")[2].partition("\n\n")[0], re.MULTILINE)
    assert ci == [*check, "pytest"]


def test_scripts_of_ci_may_be_executed() -> None:
    for name in ("run", "bootstrap.py"):
        assert (ROOT / ".ci" / name).stat().st_mode & 0o111, name


def environment(root: Path) -> Path:
    """A folder as bootstrap sees it after an installation for development."""
    for name in (*LOCKS, "pyproject.toml"):
        (root / name).write_text(name, encoding="utf-8")
    made = root / ".venv"
    made.mkdir()
    (made / "pyvenv.cfg").write_text("version = 3.11.7\n", encoding="utf-8")
    script = bootstrap()
    stamp = script.wanted_stamp(made, kind="development", root=root)
    script.stamp_file(made, kind="development").write_text(stamp, encoding="utf-8")
    return made


def test_an_environment_for_development_serves_both_kinds(tmp_path: Path) -> None:
    made = environment(tmp_path)
    assert bootstrap().is_up_to_date(made, kind="development", root=tmp_path)
    assert bootstrap().is_up_to_date(made, kind="runtime", root=tmp_path)


def test_an_environment_for_the_command_alone_does_not_serve_development(tmp_path: Path) -> None:
    script, made = bootstrap(), environment(tmp_path)
    script.stamp_file(made, kind="development").unlink()
    stamp = script.wanted_stamp(made, kind="runtime", root=tmp_path)
    script.stamp_file(made, kind="runtime").write_text(stamp, encoding="utf-8")
    assert script.is_up_to_date(made, kind="runtime", root=tmp_path)
    assert not script.is_up_to_date(made, kind="development", root=tmp_path)


@pytest.mark.parametrize("changed", ["requirements-dev.lock", "pyproject.toml", ".venv/pyvenv.cfg"])
def test_another_lock_project_or_python_is_installed_anew(changed: str, tmp_path: Path) -> None:
    made = environment(tmp_path)
    (tmp_path / changed).write_text("other", encoding="utf-8")
    assert not bootstrap().is_up_to_date(made, kind="development", root=tmp_path)


def test_an_environment_that_was_moved_is_not_whole(tmp_path: Path) -> None:
    made = environment(tmp_path)
    python = bootstrap().program(made, "python")
    python.parent.mkdir()
    python.write_text("", encoding="utf-8")
    (made / "pyvenv.cfg").write_text("command = python3 -m venv elsewhere\n", encoding="utf-8")
    assert not bootstrap().is_whole(made)

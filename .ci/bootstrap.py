#!/usr/bin/env python3
"""Sets up `.venv` from the locks if it is not up to date, then runs a command of it. Needs git and Python only.

    python3 .ci/bootstrap.py                  set up for development, run nothing
    python3 .ci/bootstrap.py winback demo     what the command needs, no more
    python3 .ci/bootstrap.py pytest -q        the same with the development tools

Where packages come from is pip's own configuration to say.
"""

import sys

# Before all else, so that an old Python gets this sentence and not a syntax error or a failed import.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"winback needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}\n"
        "  fix: run the same command with a newer one, for example python3.12 .ci/bootstrap.py ..."
    )

import hashlib
import importlib.util
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNTIME, DEVELOPMENT = "runtime", "development"
LOCKS = {RUNTIME: "requirements.lock", DEVELOPMENT: "requirements-dev.lock"}
COMMANDS_OF_RUNTIME = ("winback",)
IS_WINDOWS = os.name == "nt"


class SetupError(Exception):
    """The environment cannot be made; the text says why and what to do."""


def main(arguments: list[str]) -> int:
    """Set up, run, return the command's exit code."""
    kind = RUNTIME if arguments and arguments[0] in COMMANDS_OF_RUNTIME else DEVELOPMENT
    environment = ROOT / ".venv"
    try:
        set_up(environment, kind=kind)
        return run(environment, arguments) if arguments else 0
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def set_up(environment: Path, *, kind: str) -> None:
    """Bring the environment in line with the lock of `kind`; nothing is done if it already is.

    Raises:
        SetupError: no environment can be made here, or pip failed.
    """
    if program(environment, "python").exists() and is_up_to_date(environment, kind=kind, root=ROOT):
        return
    if not is_whole(environment):
        create(environment)
    for stamp in LOCKS:
        stamp_file(environment, kind=stamp).unlink(missing_ok=True)
    install(environment, kind=kind)
    stamp_file(environment, kind=kind).write_text(wanted_stamp(environment, kind=kind, root=ROOT), encoding="utf-8")


def is_whole(environment: Path) -> bool:
    """Whether there is an environment, made for this very place, whose Python is new enough and has pip."""
    python, configuration = program(environment, "python"), environment / "pyvenv.cfg"
    if not python.exists() or not configuration.exists():
        return False
    text = configuration.read_text(encoding="utf-8")
    if "command = " in text and str(environment) not in text:
        return False  # copied or moved: its commands still start the Python of the old place
    # Its making may have been interrupted before pip came.
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0  # noqa: S603


def create(environment: Path) -> None:
    """Make the environment anew with this Python."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"this Python ({sys.executable}) cannot make virtual environments: venv or ensurepip is missing\n"
            "  fix: on Debian and Ubuntu: apt install python3-venv"
        )
    say(f"creating {environment.name} with Python {sys.version.split()[0]}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=False)  # noqa: S603
    if made.returncode != 0:
        raise SetupError(f"{environment} could not be made\n  fix: see the message above; is the folder writable?")


def install(environment: Path, *, kind: str) -> None:
    """Every package of the lock by its hash, then the project itself, editable."""
    lock = ROOT / LOCKS[kind]
    if not lock.exists():
        raise SetupError(f"{lock} is missing\n  fix: git checkout -- {lock.name}")
    n_packages = sum("==" in line for line in lock.read_text(encoding="utf-8").splitlines())
    say(f"installing up to {n_packages} packages of {lock.name} (a minute or two the first time)")
    pip(environment, "--require-hashes", "-r", str(lock))
    say("installing winback itself from this folder")
    pip(environment, "--no-deps", "--editable", str(ROOT))


def pip(environment: Path, *arguments: str) -> None:
    """One `pip install`, silent unless it fails: warnings on every package would bury the reason."""
    command = [str(program(environment, "python")), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    if subprocess.run([*command, *arguments], check=False).returncode != 0:  # noqa: S603
        raise SetupError(
            "pip failed, see its message above; nothing was run\n"
            "  fix: check the network or pip's configuration (pip config list) and run the same command again"
        )


def is_up_to_date(environment: Path, *, kind: str, root: Path) -> bool:
    """Whether what stands there was made from today's lock; one made for development serves `winback` too."""
    serving = (kind,) if kind == DEVELOPMENT else (RUNTIME, DEVELOPMENT)
    return any(read_stamp(environment, kind=one) == wanted_stamp(environment, kind=one, root=root) for one in serving)


def wanted_stamp(environment: Path, *, kind: str, root: Path) -> str:
    """Changes exactly when another installation would come out: lock, project file, place, Python."""
    inputs = [root / LOCKS[kind], root / "pyproject.toml", environment / "pyvenv.cfg"]
    digest = hashlib.sha256(str(root).encode())
    for path in inputs:
        digest.update(b"\0" + (path.read_bytes() if path.exists() else b""))
    return digest.hexdigest() + "\n"


def read_stamp(environment: Path, *, kind: str) -> str:
    """What the last finished installation was made from; empty if there was none."""
    path = stamp_file(environment, kind=kind)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def stamp_file(environment: Path, *, kind: str) -> Path:
    """Written last, so that an interrupted installation is done again."""
    return environment / f".winback-{kind}"


def run(environment: Path, arguments: list[str]) -> int:
    """Run a command of the environment in the current folder."""
    command = program(environment, arguments[0])
    if not command.exists():
        raise SetupError(f"{environment.name} has no command {arguments[0]!r}\n  fix: see `make help` for those it has")
    variables = dict(os.environ, VIRTUAL_ENV=str(environment))
    variables["PATH"] = os.pathsep.join([str(command.parent), os.environ.get("PATH", "")])
    # The environment's own packages count, not those that another Python's variables point to.
    variables.pop("PYTHONHOME", None)
    if IS_WINDOWS:
        return subprocess.run([command, *arguments[1:]], env=variables, check=False).returncode  # noqa: S603
    # In this process's place: signals and the exit code are then the command's own.
    return os.execve(command, [str(command), *arguments[1:]], variables)  # noqa: S606


def program(environment: Path, name: str) -> Path:
    """Where a command of the environment lies."""
    return environment / "Scripts" / f"{name}.exe" if IS_WINDOWS else environment / "bin" / name


def say(text: str) -> None:
    """One progress line, apart from what the command itself prints."""
    sys.stderr.write(f"bootstrap: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

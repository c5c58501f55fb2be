"""The command in this process, and its answer as a user sees it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from click.testing import CliRunner
from defs.worlds import definitions


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Winback = Callable[..., Answer]


@pytest.fixture(scope="session", autouse=True)
def loaded_without_settings() -> None:
    definitions()


@pytest.fixture(autouse=True)
def restored_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def winback() -> Winback:
    from dagster_project.cli import main

    def called(*arguments: object) -> Answer:
        result = CliRunner(env={"COLUMNS": "300"}).invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return Answer(result.exit_code, result.stdout, result.stderr)

    return called

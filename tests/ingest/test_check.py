import pytest
from workbench import Workbench

from dagster_project.errors import SourceError
from dagster_project.ingest.check import check_source


def check(bench: Workbench) -> int:
    return check_source(bench.source, connect=bench.connect, landing=bench.folder / "landing")


def test_files_are_counted_and_nothing_is_taken_in(workbench: Workbench) -> None:
    workbench.deliver("a.csv", "id,at\n1,2024-01-01\n")
    workbench.deliver("b.csv", "id,at\nnot a number,not a date\n")
    assert check(workbench) == 2
    assert not workbench.lake.root.exists()


def test_the_one_file_that_lacks_a_column_is_named(workbench: Workbench) -> None:
    workbench.deliver("a.csv", "id,at\n1,2024-01-01\n")
    workbench.deliver("b.csv", "id,att\n1,2024-01-01\n")
    with pytest.raises(SourceError, match=r"columns\.occurred_at: .*b\.csv has no column 'at'.*\n.*did you mean 'att'"):
        check(workbench)

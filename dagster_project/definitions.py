"""Where Dagster finds everything: all that lies in `defs/`."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Assets, checks, jobs, schedules, sensors and resources of every module of `defs/`."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)

"""Where Dagster finds everything: all that lies in `defs/`."""

from importlib import import_module
from pkgutil import iter_modules

import dagster as dg
from dagster.components.definitions import LazyDefinitions

from dagster_project import defs as layers


@dg.definitions
def defs() -> dg.Definitions:
    """What every module of `defs/` defines: the results of its functions that are decorated like this one."""
    # not dg.load_from_defs_folder: it wants a pyproject.toml above the folder, and an installed wheel has none
    modules = [import_module(f"{layers.__name__}.{found.name}") for found in iter_modules(layers.__path__)]
    parts = [part for module in modules for part in vars(module).values() if isinstance(part, LazyDefinitions)]
    return dg.Definitions.merge(*(part() for part in parts))

"""A night's lists as the settings ask for them: for people, and for the tools that send or advertise.

How a file is written is `cohorts`'; which files beside the lists make a night is `night`'s.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from dagster_project.cohorts.destinations import Destination, write_destinations
from dagster_project.cohorts.dictionary import DICTIONARY, data_dictionary
from dagster_project.cohorts.export import CsvForm, write_cohorts, write_csv
from dagster_project.lake.duck import frame
from dagster_project.project import Project
from dagster_project.settings import Settings

NO_ADDRESSES = pl.Schema({"user_id": pl.String, "email": pl.String, "phone": pl.String})


@dataclass(frozen=True)
class Exports:
    """The form of a night's own files, and the files for other tools."""

    form: CsvForm
    destinations: tuple[Destination, ...]

    @property
    def needs_addresses(self) -> bool:
        """Whether some destination names users by a hash."""
        return any(one.hashed_as is not None for one in self.destinations)


def exports_of(settings: Settings) -> Exports:
    """What the settings ask for."""
    export = settings.export
    return Exports(
        form=CsvForm(bom=export.bom, delimiter=export.delimiter, ids_as_text=export.ids_as_text),
        destinations=tuple(
            Destination(
                name=name,
                channels=one.channels,
                strategies=one.strategies,
                hashed_as=None if one.identifier == "user_id" else one.identifier,
                columns=one.chosen,
                headers=dict(one.rename),
                csv=CsvForm(bom=one.bom, delimiter=one.delimiter, ids_as_text=one.ids_as_text)
                if one.format == "csv"
                else None,
            )
            for name, one in sorted(export.destinations.items())
        ),
    )


def write_lists(project: Project, as_of: date, *, folder: Path) -> dict[str, dict[str, int]]:
    """Write whom to contact and whom not, for people and for tools, and what each column means.

    What comes back are the counts of each destination (`cohorts.destinations.Counts`).
    """
    exports = exports_of(project.settings)
    users = project.read("cohorts.users", as_of=as_of)
    lists = {
        "cohorts": project.read("cohorts.contacts", as_of=as_of),
        "holdout": project.read("strategy.holdout", as_of=as_of),
        "suppressed": project.read("strategy.suppressed", as_of=as_of),
        "handover": project.read("strategy.handover", as_of=as_of),
        "awaiting_approval": project.read("cohorts.awaiting_approval", as_of=as_of),
        "recalled": project.read("reach.recalled", as_of=as_of),
    }
    decisions = project.read("cohorts.decisions", as_of=as_of)
    write_cohorts(folder, **lists, form=exports.form)
    users.write_parquet(folder / "users.parquet", compression="zstd")
    decisions.write_parquet(folder / "decisions.parquet", compression="zstd")
    told = data_dictionary(
        {name: rows.schema for name, rows in lists.items()},
        whole={"users": users.schema, "decisions": decisions.schema},
        form=exports.form,
        destinations=exports.destinations,
    )
    write_csv(told, folder / DICTIONARY, form=exports.form)
    excluded = pl.concat([lists["holdout"]["user_id"], lists["suppressed"]["user_id"]])
    concerned = pl.concat([lists["cohorts"]["user_id"], excluded])
    return write_destinations(
        folder,
        lists["cohorts"],
        destinations=exports.destinations,
        excluded=excluded,
        addresses=night_addresses(project, as_of, users=concerned if exports.needs_addresses else concerned.clear()),
    )


def night_addresses(project: Project, as_of: date, *, users: pl.Series) -> pl.DataFrame:
    """user_id, email, phone of those of `users` (ids) who have a profile that the night may see, by user_id.

    They are read from the lake each time and must be written nowhere.
    """
    if users.is_empty():
        return NO_ADDRESSES.to_frame()
    export = project.settings.export
    keys = project.read("marts.users", as_of=as_of).select("user_sk", "user_id")
    wanted = keys.filter(pl.col("user_id").is_in(users.implode()))
    with project.connect() as con:
        project.builder().view(con, "staging.users", through=as_of)
        con.register("wanted", wanted)
        profiles = frame(con, "select user_id, attributes, delivery, dt from staging.users join wanted using (user_sk)")
    newest_first = profiles.sort("user_id", "delivery", "dt", descending=[False, True, True], nulls_last=True)
    return newest_first.unique("user_id", keep="first", maintain_order=True).select(
        "user_id",
        _attribute(export.email_attribute).alias("email"),
        _attribute(export.phone_attribute).alias("phone"),
    )


def _attribute(name: str | None) -> pl.Expr:
    return pl.lit(None, pl.String) if name is None else pl.col("attributes").str.json_path_match(f"$.{name}")

import csv
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.cohorts.destinations import Counts, Destination, destination_rows, write_destinations
from dagster_project.cohorts.export import CsvForm

MAILER = Destination(
    name="mailer",
    channels=("email",),
    strategies=None,
    hashed_as=None,
    columns=("user_id", "rank", "expected_profit"),
    headers={"user_id": "Customer ID", "expected_profit": "Profit"},
    csv=CsvForm(),
)
GOOGLE = replace(MAILER, name="google", hashed_as="email_sha256", columns=("email_sha256",), headers={})
CONTACTS = pl.DataFrame(
    {
        "rank": [3, 1, 2, 4, 5, 6],
        "user_id": ["c", "007", "b", "=d", "e", "f"],
        "channel": ["email", "email", "push", "email", "email", "email"],
        "strategy_id": ["s", "t", "s", "s", "s", "s"],
        "expected_profit": [0.1234567, 0.5, 0.4, 0.2, 0.1, 0.1],
    }
)
NOBODY = pl.Series("user_id", [], dtype=pl.String)
ADDRESSES = pl.DataFrame(
    {
        "user_id": ["007", "c", "=d", "e", "held"],
        "email": [" Ann@x.org", "ann@X.org", "dora@x.org", "not one", "DORA@x.org"],
        "phone": ["+1 650 555 1212", None, None, None, None],
    }
)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_a_destination_takes_its_channel_best_first() -> None:
    rows, counts = destination_rows(CONTACTS, destination=MAILER, excluded=NOBODY, addresses=ADDRESSES)
    assert rows.columns == ["user_id", "rank", "expected_profit"]
    assert rows.rows() == [("007", 1, 0.5), ("c", 3, 0.1234567), ("=d", 4, 0.2), ("e", 5, 0.1), ("f", 6, 0.1)]
    assert counts == Counts(n_chosen=5, n_written=5)


def test_a_destination_may_take_strategies_instead() -> None:
    narrowed = replace(MAILER, channels=None, strategies=("t",))
    rows, _ = destination_rows(CONTACTS, destination=narrowed, excluded=NOBODY, addresses=ADDRESSES)
    assert rows["user_id"].to_list() == ["007"]


def test_hashes_stand_for_users_once_and_every_lost_one_is_counted() -> None:
    held = pl.Series("user_id", ["held"])
    rows, counts = destination_rows(CONTACTS, destination=GOOGLE, excluded=held, addresses=ADDRESSES)
    assert rows.rows() == [(_hash("ann@x.org"),)]
    assert counts == Counts(
        n_chosen=5,
        n_written=1,
        n_without_address=1,
        n_unreadable=1,
        n_shared_with_excluded=1,
        n_same_address=1,
    )


def test_the_bytes_of_the_files(tmp_path: Path) -> None:
    to_meta = replace(
        GOOGLE,
        name="meta",
        hashed_as="phone_digits_sha256",
        columns=("phone_digits_sha256", "expected_profit"),
        headers={"phone_digits_sha256": "phone"},
        csv=CsvForm(bom=True, delimiter="\t"),
    )
    to_excel = replace(MAILER, name="excel", csv=CsvForm(ids_as_text="formula"))
    found = write_destinations(
        tmp_path, CONTACTS, destinations=(to_meta, to_excel), excluded=NOBODY, addresses=ADDRESSES
    )
    assert (tmp_path / "destinations" / "meta.csv").read_bytes() == (
        b"\xef\xbb\xbfphone\texpected_profit\n" + _hash("16505551212").encode() + b"\t0.5\n"
    )
    assert (tmp_path / "destinations" / "excel.csv").read_bytes() == (
        b'Customer ID,rank,Profit\n"=""007""",1,0.5\n"=""c""",3,0.12\n\'=d,4,0.2\n"=""e""",5,0.1\n"=""f""",6,0.1\n'
    )
    assert found["excel"] == asdict(Counts(n_chosen=5, n_written=5))
    assert found["meta"]["n_without_address"] == 4


def test_a_parquet_file_holds_the_exact_values(tmp_path: Path) -> None:
    raw = replace(MAILER, csv=None)
    write_destinations(tmp_path, CONTACTS, destinations=(raw,), excluded=NOBODY, addresses=ADDRESSES)
    rows = pl.read_parquet(tmp_path / "destinations" / "mailer.parquet")
    assert rows.columns == ["Customer ID", "rank", "Profit"]
    assert rows.rows()[1:3] == [("c", 3, 0.1234567), ("=d", 4, 0.2)]


def test_a_night_without_contacts_gives_a_header(tmp_path: Path) -> None:
    write_destinations(tmp_path, CONTACTS.clear(), destinations=(GOOGLE,), excluded=NOBODY, addresses=ADDRESSES.clear())
    with (tmp_path / "destinations" / "google.csv").open(encoding="utf-8", newline="") as lines:
        assert list(csv.reader(lines)) == [["email_sha256"]]


USERS = st.sampled_from(list("abcdefgh"))
EMAILS = st.sampled_from(["one@x.org", " ONE@x.org", "two@x.org", "three@x.org", "bad", ""])


@st.composite
def _nights(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.Series, pl.DataFrame]:
    """Contacts, excluded users (some of them contacts by mistake) and everybody's addresses."""
    users = draw(st.lists(USERS, unique=True, max_size=8))
    contacts = pl.DataFrame(
        {
            "rank": range(1, len(users) + 1),
            "user_id": users,
            "channel": [draw(st.sampled_from(["email", "push"])) for _ in users],
            "strategy_id": [draw(st.sampled_from(["s", "t"])) for _ in users],
            "expected_profit": [0.5] * len(users),
        },
        schema={
            "rank": pl.Int64,
            "user_id": pl.String,
            "channel": pl.String,
            "strategy_id": pl.String,
            "expected_profit": pl.Float64,
        },
    )
    excluded = pl.Series("user_id", draw(st.lists(USERS, unique=True, max_size=6)), dtype=pl.String)
    emails = {user: draw(EMAILS) for user in "abcdefgh"}
    addresses = pl.DataFrame({"user_id": list(emails), "email": list(emails.values()), "phone": "+16505551212"})
    return contacts, excluded, addresses


@given(_nights(), st.sampled_from([("email",), ("push",), ("email", "push")]), st.sampled_from([None, ("s",)]))
def test_nobody_held_out_suppressed_or_of_another_channel_is_ever_written(
    night: tuple[pl.DataFrame, pl.Series, pl.DataFrame],
    channels: tuple[str, ...],
    strategies: tuple[str, ...] | None,
) -> None:
    contacts, excluded, addresses = night
    fits = contacts.filter(
        pl.col("channel").is_in(channels), pl.lit(strategies is None) | pl.col("strategy_id").is_in(strategies or ())
    )
    meant = set(fits["user_id"]) - set(excluded)

    by_id = replace(MAILER, channels=channels, strategies=strategies)
    rows, counts = destination_rows(contacts, destination=by_id, excluded=excluded, addresses=addresses)
    assert set(rows["user_id"]) == meant
    assert counts.n_written == len(meant)

    by_hash = replace(GOOGLE, channels=channels, strategies=strategies)
    rows, counts = destination_rows(contacts, destination=by_hash, excluded=excluded, addresses=addresses)
    hash_of = {user: _hash(email.strip().lower()) for user, email, _ in addresses.rows() if "@" in email}
    forbidden = {hash_of[user] for user in excluded if user in hash_of}
    assert set(rows["email_sha256"]) == {hash_of[user] for user in meant if user in hash_of} - forbidden
    assert rows["email_sha256"].is_unique().all()
    assert counts.n_chosen == counts.n_written + sum(list(asdict(counts).values())[2:])

import re
from pathlib import Path

import pytest

from dagster_project.settings.fingerprint import settings_hash

DOCS = Path(__file__).parents[2] / "docs" / "exports.md"
USERS = """
[sources.users]
path = "users.csv"
columns = { user_id = "id", country = "land", mail = "mail", mobile = "'+86' || mobile" }
"""
ADDRESSES = '[export]\nemail_attribute = "mail"\nphone_attribute = "mobile"\n'


def test_nothing_need_be_said(load, minimal):
    export = load(minimal).export
    assert (export.bom, export.delimiter, export.ids_as_text, dict(export.destinations)) == (False, ",", "plain", {})
    assert export.address_attributes == ()


def test_a_destination_chooses_renames_and_narrows(load, minimal):
    text = f"""{minimal}{USERS}{ADDRESSES}
[export.destinations.meta]
channels = ["email"]
identifier = "phone_digits_sha256"
rename = {{ phone_digits_sha256 = "phone" }}

[export.destinations.mailer]
columns = ["user_id", "send_at"]
delimiter = "\\t"
"""
    export = load(text).export
    assert list(export.destinations) == ["meta", "mailer"]
    meta, mailer = export.destinations["meta"], export.destinations["mailer"]
    assert (meta.is_hashed, meta.chosen) == (True, ("phone_digits_sha256",))
    assert (mailer.is_hashed, mailer.chosen, mailer.delimiter) == (False, ("user_id", "send_at"), "\t")
    assert export.address_attributes == ("mail", "mobile")


def test_without_columns_a_destination_has_those_of_the_whole_list(load, minimal):
    chosen = load(f"{minimal}[export.destinations.all]\n").export.destinations["all"].chosen
    assert (chosen[:3], chosen[-1]) == (("rank", "user_id", "cohort"), "explanation")


@pytest.mark.parametrize(
    ("section", "problem", "fix"),
    [
        (
            'columns = ["user_id", "send_att"]',
            'columns = ["user_id", "send_att"]: holds send_att, no column of cohorts.csv',
            "did you mean send_at?",
        ),
        ('columns = ["send_at"]', 'columns = ["send_at"]: does not hold the identifier', 'add "user_id"'),
        (
            'rename = { user_id = "=id" }',
            'rename.user_id = "=id": is not a name that every spreadsheet shows',
            "begins with a letter",
        ),
        ('rename = { user_id = "rank" }', 'rename.user_id = "rank": names two columns', "write another name"),
        ('rename = { nobody = "x" }', 'rename.nobody = "x": is not among the columns', "write one of rank"),
        ('channels = ["sms"]', 'channels = ["sms"]: holds sms, which is none of the channels', "write one of email"),
        (
            'strategies = ["no_such"]',
            'strategies = ["no_such"]: holds no_such, which is none of the strategies',
            "write one of",
        ),
        ('format = "parquet"\nbom = true', "bom = true: has a meaning for csv files only", "drop bom"),
        (
            'channels = ["email"]\nidentifier = "email_sha256"',
            'identifier = "email_sha256": needs an address to hash',
            "write export.email_attribute",
        ),
        (
            'identifier = "email_sha256"',
            'identifier = "email_sha256": would send everybody to an ad platform',
            "add channels or strategies",
        ),
        (
            'identifier = "email_sha256"\nchannels = ["email"]\ncolumns = ["email_sha256", "user_id"]',
            'columns = ["email_sha256", "user_id"]: holds user_id beside the hash',
            'write "email_sha256" instead',
        ),
        ('delimiter = "|"', 'delimiter = "|": must be one of', "e.g. delimiter"),
        ('colour = "red"', 'colour = "red": unknown key', "write one of channels"),
    ],
)
def test_a_wrong_destination_is_told_with_file_key_and_fix(refused, minimal, section, problem, fix):
    problems, fixes = refused(f"{minimal}[export.destinations.x]\n{section}\n")
    assert len(problems) == 1
    assert problems[0].startswith(f"winback.toml: export.destinations.x.{problem}")
    assert fixes[0].startswith("export.destinations.x.") and fix in fixes[0]


@pytest.mark.parametrize("name", ["country", "absent"])
def test_addresses_are_further_columns_of_the_profiles(refused, minimal, name):
    problems, fixes = refused(f'{minimal}{USERS}[export]\nemail_attribute = "{name}"\n')
    assert problems == [f'winback.toml: export.email_attribute = "{name}": is no further column of sources.users']
    assert fixes == ["export.email_attribute: write one of mail, mobile"]


def test_without_profiles_there_are_no_addresses(refused, minimal):
    _, fixes = refused(f'{minimal}[export]\nphone_attribute = "phone"\n')
    assert fixes == ['export.phone_attribute: add phone = "<SQL expression>" to sources.users.columns']


def test_a_name_of_a_destination_is_a_name_of_a_file(refused, minimal):
    problems, _ = refused(f'{minimal}[export.destinations."../x"]\n')
    assert problems == ['winback.toml: export.destinations."../x": is not a valid name']


def test_the_order_of_the_columns_is_part_of_the_settings_hash(load, minimal):
    hashes = {
        settings_hash(load(f"{minimal}[export.destinations.x]\ncolumns = {columns}\n"))
        for columns in ('["user_id", "rank"]', '["rank", "user_id"]')
    }
    assert len(hashes) == 2


def test_the_settings_shown_in_docs_are_accepted(load, minimal):
    spreadsheet, tools = re.findall("```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert load(f"{minimal}{spreadsheet}").export.bom is True
    export = load(f'{minimal}[sources.users]\npath = "users.csv"\n{tools}').export
    assert list(export.destinations) == ["mailer", "google_ads"]

from hashlib import sha256

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.cohorts.addresses import hashed_addresses, normalised_email, normalised_phone


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("given_text", "normalised"),
    [
        (" John_Smith@Gmail.com\t", "john_smith@gmail.com"),
        ("a.b+news@gmail.com", "a.b+news@gmail.com"),
        ("王芳@例子.中国", "王芳@例子.中国"),
        ("two@at@x.org", None),
        ("in ner@x.org", None),
        ("nobody@localhost", None),
        ("x.org", None),
        ("a@x.org.", None),
        ("", None),
    ],
)
def test_an_email_is_trimmed_and_lowered_and_nothing_else(given_text: str, normalised: str | None) -> None:
    assert normalised_email(given_text) == normalised


@pytest.mark.parametrize(
    ("given_text", "normalised"),
    [
        ("+1 (650) 555-1212", "+16505551212"),
        (" +86 138-0013-8000 ", "+8613800138000"),
        ("+44.20.7946.0018", "+442079460018"),
        ("+49\u00a030\u2011901820", "+4930901820"),
        ("+44 (0)20 7946 0018", None),
        ("13800138000", None),
        ("0049 30 901820", None),
        ("+0 138 0013 8000", None),
        ("+1 650 555 1212 x7", None),
        ("+123456", None),
        ("+1234567890123456", None),
        ("+٨٦١٣٨٠٠١٣٨٠٠٠", None),
        ("++16505551212", None),
        ("8613800138000.0", None),
    ],
)
def test_a_phone_number_is_read_only_with_its_country(given_text: str, normalised: str | None) -> None:
    assert normalised_phone(given_text) == normalised


def test_the_hash_is_that_of_the_platforms_own_example() -> None:
    addresses = pl.DataFrame({"user_id": ["a"], "email": ["John_Smith@gmail.com"], "phone": [None]})
    found = hashed_addresses(addresses, identifier="email_sha256")["email_sha256"][0]
    assert found == "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"


def test_each_platform_gets_its_own_form_of_a_phone_number() -> None:
    addresses = pl.DataFrame({"user_id": ["a"], "email": [None], "phone": ["+1 650-555-1212"]})
    google = hashed_addresses(addresses, identifier="phone_sha256")
    meta = hashed_addresses(addresses, identifier="phone_digits_sha256")
    assert google.rows() == [("a", _hash("+16505551212"), True)]
    assert meta.rows() == [("a", _hash("16505551212"), True)]


def test_what_is_not_supplied_is_told_from_what_cannot_be_read() -> None:
    addresses = pl.DataFrame(
        {"user_id": ["a", "b", "c"], "email": [None, " ", "no address"], "phone": [None, None, None]},
        schema_overrides={"phone": pl.String},
    )
    found = hashed_addresses(addresses, identifier="email_sha256")
    assert found.rows() == [("a", None, False), ("b", None, False), ("c", None, True)]
    assert found.schema == {"user_id": pl.String, "email_sha256": pl.String, "is_given": pl.Boolean}


def test_nobody_has_no_hash() -> None:
    nobody = pl.DataFrame(schema={"user_id": pl.String, "email": pl.String, "phone": pl.String})
    assert hashed_addresses(nobody, identifier="phone_sha256").height == 0


@given(st.lists(st.text(max_size=20), max_size=4))
def test_no_address_comes_out(texts: list[str]) -> None:
    addresses = pl.DataFrame(
        {"user_id": [f"u{n}" for n in range(len(texts))], "email": texts, "phone": texts},
        schema={"user_id": pl.String, "email": pl.String, "phone": pl.String},
    )
    for identifier in ("email_sha256", "phone_sha256", "phone_digits_sha256"):
        hashes = hashed_addresses(addresses, identifier=identifier)[identifier].drop_nulls().to_list()
        assert all(len(one) == 64 and set(one) <= set("0123456789abcdef") for one in hashes)

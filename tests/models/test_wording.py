import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.lake.sql_model import load_model, sql_root
from dagster_project.models.explanations import EXPLANATION_SCHEMA
from dagster_project.models.wording import PHRASES, feature_in_words, in_plain_order, in_words

KEYS = {"user_sk", "user_id"}


def test_every_feature_of_the_mart_has_a_phrase_and_no_phrase_is_idle() -> None:
    features = load_model(sql_root() / "marts" / "user_features.sql").columns.keys() - KEYS

    assert sorted(features - PHRASES.keys()) == []
    assert sorted(PHRASES.keys() - features) == []


@pytest.mark.parametrize(
    ("feature", "value", "typical", "said"),
    [
        ("silence_days", 40.0, 12.0, "silent for 40 days (typical: 12)"),
        ("silence_days", 1.0, 12.0, "silent for 1 day (typical: 12)"),
        ("n_active_days_90d", 3.0, 8.0, "3 active days in the last 90 days (typical: 8)"),
        ("n_core_events", 1.0, 1234.0, "1 activity in all (typical: 1,234)"),
        ("n_categories_180d", 2.0, 1.0, "2 categories in the last 180 days (typical: 1)"),
        ("open_share_90d", 0.0, 0.214, "opened 0 % of messages (typical: 21 %)"),
        ("amount_90d", 40.5, 12345.678, "spent 40.50 in the last 90 days (typical: 12,346)"),
        ("silence_per_gap", 3.25, 0.5, "silent for 3.2 times the mean gap (typical: 0.5)"),
        ("log_gap_mean", 2.302585, 0.0, "a geometric mean gap of 10 days (typical: 1)"),
        ("age_years", 39.99, None, "39 years of age (typical: unknown)"),
        ("n_opted_out", 2.0, 0.0, "2 opt-outs or complaints (typical: 0)"),
        ("open_share_90d", None, 0.5, "no message delivered in the last 90 days to open (typical: 50 %)"),
        ("n_sent_90d", None, 3.0, "never sent a message (typical: 3)"),
        ("pages_per_visit", 2.5, 4.0, "pages per visit 2.5 (typical: 4)"),
        ("pages_per_visit", None, float("nan"), "pages per visit unknown (typical: unknown)"),
        ("odd_{name}", 1.0, 2.0, "odd (name) 1 (typical: 2)"),
    ],
)
def test_values_read_as_a_person_would_say_them(
    feature: str, value: float | None, typical: float | None, said: str
) -> None:
    assert feature_in_words(feature, value, typical) == said


def test_one_sentence_per_user_in_order_of_position_with_the_way_it_moved() -> None:
    rows = [
        ("u2", 1, "n_returns_7d", 1.0, 0.0, 0.1),
        ("u1", 2, "open_share_90d", 0.5, 0.1, 0.2),
        ("u1", 1, "silence_days", 40.0, 12.0, -0.9),
    ]

    assert in_words(pl.DataFrame(rows, schema=EXPLANATION_SCHEMA, orient="row")).rows() == [
        (
            "u1",
            (
                "What moved the score most: silent for 40 days (typical: 12) lowers it; "
                "opened 50 % of messages (typical: 10 %) raises it."
            ),
        ),
        ("u2", "What moved the score most: 1 return after a week or more away (typical: 0) raises it."),
    ]


def test_no_explanation_gives_no_sentence() -> None:
    assert in_words(EXPLANATION_SCHEMA.to_frame()).is_empty()


def test_plain_features_come_before_derived_ones_and_strangers_last() -> None:
    given_columns = ("zebra", "recency_share", "apple", "silence_per_gap", "silence_days")

    assert in_plain_order(given_columns) == ("silence_days", "silence_per_gap", "recency_share", "apple", "zebra")


@given(
    st.sampled_from(sorted(PHRASES)),
    st.none() | st.floats(allow_nan=True, allow_infinity=True),
    st.none() | st.floats(min_value=-1e9, max_value=1e9),
)
def test_any_value_of_any_feature_can_be_said(feature: str, value: float | None, typical: float | None) -> None:
    said = feature_in_words(feature, value, typical)

    assert said.count("(typical: ") == 1
    assert "nan" not in said
    assert "{" not in said
    assert "-0 " not in said

"""Where a night's catalogue comes from: own files, industries, data for slots, and what sits out."""

from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.compliance.packs import load_packs, shipped_law_book
from dagster_project.errors import CatalogueError
from dagster_project.settings.model import Compliance
from dagster_project.strategy.catalogue import (
    LOCALES,
    Catalogue,
    CatalogueSource,
    by_precedence,
    conflicts,
    load_catalogue,
    slots_with_data,
    strategies_without_data,
    usable_catalogue,
)
from dagster_project.strategy.content import closed_content, fault_sentences, review_catalogue
from dagster_project.strategy.exclusions import circles
from dagster_project.strategy.industries import FOLDER, load_industry

from .builders import VALID, swapped

INDUSTRIES = sorted(path.stem for path in FOLDER.glob("*.toml"))
MAPPED = {"events": ["user_id", "category"], "users": ["user_id", "points", "member_tier"]}
Own = Callable[..., Path]


@pytest.fixture
def own(tmp_path: Path) -> Own:
    def written(**files: str) -> Path:
        for name, text in files.items():
            own_names = text.replace("hello_letter", f"{name}_letter")
            (tmp_path / f"{name}.toml").write_text(own_names, encoding="utf-8")
        return tmp_path

    return written


def test_there_is_a_file_for_every_industry_of_the_settings() -> None:
    assert sorted(Compliance.model_json_schema()["properties"]["industry"]["enum"]) == INDUSTRIES


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_the_words_of_an_industry_pass_the_review_under_every_pack(industry: str) -> None:
    catalogue = load_catalogue(industry=industry)
    for pack in load_packs():
        laws = shipped_law_book(pack).every_law()
        faults = review_catalogue(catalogue, laws=laws, industry=industry, postal_address="1 Example Street")
        assert fault_sentences(faults) == ()


def test_without_a_postal_address_no_email_goes_to_the_united_states_and_one_sentence_says_so() -> None:
    faults = review_catalogue(load_catalogue(), laws=shipped_law_book().every_law(), industry="commerce")
    assert {(fault.channel, fault.law) for fault in faults} == {("email", "default+us")}
    (said,) = fault_sentences(faults)
    assert said == (
        "compliance.postal_address is not set (text.postal_address: CAN-SPAM Act, 15 U.S.C. 7704(a)(5)(A)(iii));"
        " nothing is sent on email under default+us"
    )
    by_email = {one.id for one in load_catalogue().sending if "email" in one.channels}
    assert {strategy for strategy, channel in closed_content(faults) if channel == "email"} == by_email


@pytest.mark.parametrize("industry", ["finance", "health"])
def test_where_money_or_health_is_at_stake_no_offer_and_no_chosen_category_is_spoken_of(industry: str) -> None:
    for strategy in load_catalogue(industry=industry).sending:
        assert strategy.offer.kind == "none", strategy.id
        for template in strategy.templates:
            for locale in LOCALES:
                assert not template.text(locale).slots & {"offer", "points", "member_tier", "favourite_category"}


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_no_two_templates_of_an_industry_share_a_name(industry: str) -> None:
    names = [template.template_id for one in load_catalogue(industry=industry).sending for template in one.templates]
    assert len(names) == len(set(names))


def test_an_industry_leaves_out_rewrites_and_keeps_what_the_settings_want() -> None:
    commerce, finance = load_catalogue(), load_catalogue(industry="finance")
    left_out = {one.strategy_id for one in load_industry("finance").left_out}
    assert set(commerce.by_id) - set(finance.by_id) == left_out >= {"price_save", "friends_are_here"}
    assert finance.by_id["dunning"].templates[0].template_id == "dunning_finance_1"
    assert finance.by_id["sunset"] == commerce.by_id["sunset"]
    kept = load_catalogue(industry="finance", kept=["price_save"])
    assert set(kept.by_id) - set(finance.by_id) == {"price_save"}


def test_an_unknown_industry_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CatalogueError, match="none is called 'mining'") as refused:
        load_catalogue(industry="mining")
    assert refused.value.fix == "one of commerce, education, finance, health, social"


def test_own_files_add_to_the_shipped_ones_and_replace_those_of_their_id(own: Own) -> None:
    mine = VALID.replace('id = "hello"', 'id = "price_save"')
    catalogue = load_catalogue(own(hello=VALID, price_save=mine), industry="finance")
    assert {"hello", "price_save"} <= set(catalogue.by_id)
    assert catalogue.by_id["price_save"].title == "Hello"
    assert set(catalogue.by_id) - {"hello", "price_save"} == set(load_catalogue(industry="finance").by_id)


def test_two_strategies_must_not_share_the_name_of_a_template(own: Own) -> None:
    shared = VALID.replace('template_id = "hello_letter"', 'template_id = "sunset_letter"')
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(own(aaa=shared.replace('id = "hello"', 'id = "aaa"', 1)))
    assert "aaa.toml:30: templates[0].template_id: 'sunset_letter' is already used in sunset.toml" in str(refused.value)


def test_own_files_may_use_a_channel_of_the_settings(own: Own) -> None:
    folder = own(hello=VALID.replace('channels = ["email"]', 'channels = ["pager"]'))
    assert load_catalogue(folder, channels=["pager"]).by_id["hello"].channels == ("pager",)


def test_at_night_a_broken_file_sits_out_and_the_rest_goes_on(own: Own) -> None:
    folder = own(
        hello=VALID,
        broken=swapped(('id = "hello"', 'id = "broken"'), ("send_hour = 12", "send_hour = 24")),
        no_toml="id = ",
        round=swapped(('id = "hello"', 'id = "round"'), ("never_with = []", 'never_with = ["round"]')),
        sunset=swapped(('id = "hello"', 'id = "sunset"'), ("never_with = []", 'never_with = ["bye"]')),
    )
    catalogue, faults = usable_catalogue(CatalogueSource(folder=folder))
    assert [(fault.strategy_id, fault.sentence.split(": ")[:2]) for fault in faults] == [
        ("broken", ["broken.toml:13", "timing.send_hour"]),
        ("no_toml", ["no_toml.toml", "not readable as TOML"]),
        ("round", ["round.toml:7", "never_with"]),
        ("sunset", ["sunset.toml:7", "never_with"]),
    ]
    assert all(fault.sits_out for fault in faults)
    # A broken file of one's own does not bring the shipped one back, which was replaced on purpose.
    assert set(catalogue.by_id) == {*load_catalogue().by_id, "hello"} - {"sunset"}


def test_words_without_data_are_left_out_and_a_strategy_without_words_sits_out(own: Own) -> None:
    balance = swapped(('id = "hello"', 'id = "balance"'), ("Hello {first_name}.", "You have {points}."))
    folder = own(balance=balance)
    none = slots_with_data({"events": ["user_id", "amount"]})
    catalogue, faults = usable_catalogue(CatalogueSource(folder=folder), available_slots=none)
    told = {fault.strategy_id: fault for fault in faults}
    assert (told["balance"].problem, told["balance"].fix) == (
        "no data for {points}: balance_letter left out",
        "map users.points, or switch the strategy off",
    )
    assert {fault.strategy_id for fault in faults if fault.sits_out} == {
        "back_in_stock_or_new_season",
        "balance",
        "whats_new",
    }
    assert [one.template_id for one in catalogue.by_id["loyalty_points"].templates] == [
        "loyalty_points_letter",
        "loyalty_points_exclusive",
        "loyalty_points_note",
    ]
    assert not told["loyalty_points"].sits_out
    # A step of the series by e-mail needs the category, so the series is left to the other channel.
    assert catalogue.by_id["escalating_three"].channels == ("wechat",)


def test_with_every_column_mapped_nothing_is_left_out() -> None:
    catalogue, faults = usable_catalogue(CatalogueSource(), available_slots=slots_with_data(MAPPED))
    assert (catalogue, faults) == (load_catalogue(), ())


def test_the_strategies_that_would_sit_out_are_named_with_the_slots_they_miss() -> None:
    missing = strategies_without_data(load_catalogue(), available_slots=slots_with_data({"users": ["points"]}))
    assert missing == {
        "back_in_stock_or_new_season": {"favourite_category"},
        "whats_new": {"favourite_category"},
    }


def test_conflicts_hold_on_both_sides(catalogue: Catalogue) -> None:
    found = conflicts(catalogue)
    assert "price_save" in found["loyalty_points"] and "loyalty_points" in found["price_save"]
    assert all(one in found[other] for one, others in found.items() for other in others)
    assert all(one not in others for one, others in found.items())


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3).map(tuple)))
@settings(deadline=None)
def test_without_the_circles_an_order_is_left(never_with: dict[str, tuple[str, ...]]) -> None:
    turning = {key for circle in circles(never_with) for key in circle}
    left = {key: [one for one in others if one not in turning] for key, others in never_with.items()}
    tuple(TopologicalSorter({key: others for key, others in left.items() if key not in turning}).static_order())
    assert all(key in never_with for key in turning)


def test_what_a_picture_shows_is_reviewed_like_every_other_word(own: Own) -> None:
    pictured = VALID.replace('template_id = "hello_letter"', 'template_id = "hello_letter"\nform = "picture"')
    pictured = pictured.replace('why_sent = "You agreed."', 'why_sent = "You agreed."\nmedia = "A miracle."')
    pictured = pictured.replace('why_sent = "您曾同意接收。"', 'why_sent = "您曾同意接收。"\nmedia = "一张图。"')
    catalogue = Catalogue(strategies=(load_catalogue(own(hello=pictured)).by_id["hello"],))
    faults = review_catalogue(catalogue, laws=shipped_law_book().every_law(), industry="commerce")
    assert {(fault.wording.part, fault.wording.what) for fault in faults} >= {("media", "says 'miracle'")}


def test_silence_is_asked_for_by_the_stronger_ground_first(catalogue: Catalogue) -> None:
    assert [one.id for one in by_precedence(catalogue.silent)] == [
        "do_not_contact",
        "repair_data",
        "paid_audience_only",
        "quiet_period",
        "repair_address",
    ]

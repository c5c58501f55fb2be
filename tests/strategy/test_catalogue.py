from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_project.errors import CatalogueError
from dagster_project.strategy.catalogue import LOCALES, Catalogue, load_catalogue
from dagster_project.strategy.catalogue_docs import PAGE, with_tables
from dagster_project.strategy.catalogue_schema import SCHEMA_PATH, schema_text

from .builders import VALID, swapped

Refusal = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    def of(*swaps: tuple[str, str]) -> str:
        (tmp_path / "hello.toml").write_text(swapped(*swaps), encoding="utf-8")
        with pytest.raises(CatalogueError) as caught:
            load_catalogue(tmp_path)
        return str(caught.value)

    return of


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue()


def test_the_shipped_catalogue_holds_these_strategies_in_order(shipped: Catalogue) -> None:
    assert [strategy.id for strategy in shipped.strategies] == [
        "anniversary_thanks",
        "apology_and_fix",
        "back_in_stock_or_new_season",
        "birthday_greeting",
        "concierge",
        "do_not_contact",
        "dunning",
        "escalating_three",
        "exit_survey",
        "explore",
        "friends_are_here",
        "guided_restart",
        "habit_nudge",
        "holiday_greeting",
        "loyalty_points",
        "paid_audience_only",
        "price_save",
        "quiet_period",
        "repair_address",
        "repair_data",
        "repair_reach",
        "seasonal_recall",
        "service_check",
        "sunset",
        "upgrade_trial",
        "value_reminder",
        "whats_new",
    ]
    assert {one.id: one.handover for one in shipped.silent} == {
        "do_not_contact": "none",
        "paid_audience_only": "audience",
        "quiet_period": "none",
        "repair_address": "repairs",
        "repair_data": "repairs",
    }


def test_strategies_of_early_warning_are_for_users_who_are_still_here_and_make_no_offer(shipped: Catalogue) -> None:
    early = [one for one in shipped.sending if one.trigger.is_for_present]
    assert [one.id for one in early] == ["habit_nudge", "service_check", "value_reminder"]
    assert {stage for one in early for stage in one.trigger.stages} == {"cooling", "at_risk"}
    assert {one.offer.kind for one in early} == {"none"}


def test_lost_users_are_met_by_the_sunset_only(shipped: Catalogue) -> None:
    assert [one.id for one in shipped.sending if "lost" in one.trigger.stages] == ["sunset"]


def test_the_shipped_words_are_short_and_make_no_absolute_claims_or_pressure(shipped: Catalogue) -> None:
    pressing = (
        "guarantee", "hurry", "last chance", "act now", "only today", "best ", " never ", "100%", "!",
        "最好", "最佳", "第一", "绝对", "保证", "立即", "马上", "最后机会", "赶快", "仅限今日",
    )  # fmt: skip
    for strategy in shipped.sending:
        for template in strategy.templates:
            for locale in LOCALES:
                words = template.text(locale)
                assert len(words.body) <= 260, template.template_id
                said = " ".join(words.model_dump(exclude_none=True).values()).lower()
                assert [bad for bad in pressing if bad in said] == [], template.template_id


def test_every_letter_has_a_subject_in_both_languages(shipped: Catalogue) -> None:
    for strategy in shipped.sending:
        for template in strategy.templates:
            if "email" in template.channels:
                assert [template.text(locale).subject is None for locale in LOCALES] == [False, False]


def test_the_schema_file_is_in_step_with_the_models() -> None:
    if not SCHEMA_PATH.exists():
        pytest.skip("docs/ is not part of an installed package")
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_text(), (
        "run: python -m dagster_project.strategy.catalogue_schema"
    )


def test_the_tables_of_the_page_are_in_step_with_the_catalogue() -> None:
    if not PAGE.exists():
        pytest.skip("docs/ is not part of an installed package")
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "run: python -m dagster_project.strategy.catalogue_schema"


def test_a_page_without_the_place_of_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table 'strategies'"):
        with_tables("# Strategies\n")


def test_an_unknown_key_is_named_with_its_file(refusal: Refusal) -> None:
    said = refusal(("send_hour = 12", "send_hour = 12\nsend_minute = 5"))
    assert "hello.toml:14: timing.send_minute: unknown key" in said


def test_a_missing_key_is_named(refusal: Refusal) -> None:
    assert "hello.toml:23: prior.source: missing key" in refusal(('source = "Opinion."\n', ""))


def test_a_missing_locale_is_named(refusal: Refusal) -> None:
    text = VALID[VALID.index("[templates.zh]") :]
    assert "hello.toml:29: templates[0].zh: missing locale" in refusal((text, ""))


def test_a_channel_without_a_template_is_refused(refusal: Refusal) -> None:
    assert "missing template for channel 'push'" in refusal(('channels = ["email"]', 'channels = ["email", "push"]'))


def test_an_unknown_slot_is_refused(refusal: Refusal) -> None:
    said = refusal(("Hello {first_name}.", "Hello {surname}."))
    assert "hello.toml:34: templates[0].en: unknown slot {surname} in body" in said


def test_unpaired_braces_and_formats_are_refused(refusal: Refusal) -> None:
    assert "braces in body do not pair up" in refusal(("Hello {first_name}.", "Hello {first_name."))
    assert "carries a format" in refusal(("Hello {first_name}.", "Hello {first_name!r}."))


def test_a_missing_opt_out_is_refused(refusal: Refusal) -> None:
    assert "templates[0].en.opt_out: missing key" in refusal(('opt_out = "Stop: {unsubscribe_link}"\n', ""))
    assert "opt_out must hold {unsubscribe_link} once" in refusal(("Stop: {unsubscribe_link}", "Stop: write to us"))


def test_more_than_one_next_step_is_refused(refusal: Refusal) -> None:
    assert "body must hold {link} nowhere" in refusal(("Hello {first_name}.", "Hello, see {link}."))
    assert "cta must hold {link} once" in refusal(("Look in: {link}", "Look in: {link} or {link}"))


@pytest.mark.parametrize("channel", ["E-Mail", "e mail", "", "../x"])
def test_a_malformed_channel_is_refused(refusal: Refusal, channel: str) -> None:
    assert "hello.toml:6: channels[0]:" in refusal(('channels = ["email"]', f'channels = ["{channel}"]'))


def test_an_unknown_stage_is_refused_with_the_known_ones(refusal: Refusal) -> None:
    said = refusal(("churned_early", "churned"))
    assert "hello.toml:10: trigger.stages[0]:" in said
    assert "at least 1 item" not in said
    assert "'churned_mid'" in said


def test_numbers_that_cannot_be_are_refused(refusal: Refusal) -> None:
    assert "timing.send_hour" in refusal(("send_hour = 12", "send_hour = 24"))
    assert "tau_low <= tau <= tau_high does not hold" in refusal(("tau_low = 0.0", "tau_low = 0.3"))
    assert "prior.tau" in refusal(("tau = 0.1", "tau = nan"))
    assert "kind 'none' with a cost" in refusal(('kind = "none"', 'kind = "none"\ncost = 2.0'))
    assert "max_touches must be 0 exactly when" in refusal(("max_touches = 1", "max_touches = 0"))


def test_an_id_used_twice_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "again.toml").write_text(VALID, encoding="utf-8")
    assert "hello.toml:2: id: 'hello' is already used in again.toml" in refusal()


def test_an_exclusion_of_an_unknown_strategy_is_refused(refusal: Refusal) -> None:
    assert "never_with: unknown strategy 'bye'" in refusal(("never_with = []", 'never_with = ["bye"]'))


def test_exclusions_in_a_circle_are_refused(refusal: Refusal, tmp_path: Path) -> None:
    other = VALID.replace('id = "hello"', 'id = "bye"').replace("never_with = []", 'never_with = ["hello"]')
    other = other.replace("hello_letter", "bye_letter")
    (tmp_path / "bye.toml").write_text(other, encoding="utf-8")
    said = refusal(("never_with = []", 'never_with = ["bye"]'))
    assert "bye.toml:7: never_with: runs in a circle (bye -> hello)" in said
    (tmp_path / "bye.toml").unlink()
    assert "runs in a circle (hello)" in refusal(("never_with = []", 'never_with = ["hello"]'))


def test_text_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("id = ", encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"x\.toml: not readable as TOML"):
        load_catalogue(tmp_path)


def test_a_folder_without_strategies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no strategy files"):
        load_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("swaps", "said"),
    [
        ([('channels = ["email"]\n\n[templates.en]', 'channels = ["pager"]\n\n[templates.en]'),
          ('channels = ["email"]\nnever', 'channels = ["pager"]\nnever')],
         "hello.toml:31: templates[0].channels: unknown channel 'pager'"),
        ([('stages = ["churned_early"]', 'stages = ["churned_early", "at_risk"]')],
         "hello.toml:10: strategy: trigger.stages mixes churned users with users who are still here"),
        ([('stages = ["churned_early"]', 'stages = ["at_risk"]\nreasons = ["price_or_plan"]')],
         "hello.toml:11: trigger: reasons are judged of churned users only"),
        ([('stages = ["churned_early"]', 'stages = ["churned_early"]\nreasons = ["price"]')],
         "hello.toml:11: trigger.reasons[0]: no reason is called 'price'"),
        ([('stages = ["churned_early"]', 'stages = ["churned_early"]\nevidence = ["rumour"]')],
         "hello.toml:11: trigger.evidence[0]: no evidence is called 'rumour'"),
        ([('stages = ["churned_early"]', 'stages = ["churned_early"]\noccasions = ["doomsday"]')],
         "hello.toml:11: trigger.occasions[0]: no occasion is called 'doomsday'"),
        ([("send_hour = 12", "send_hour = 12\ndays_after_churn = 3"), ('["churned_early"]', '["at_risk"]')],
         "hello.toml:14: strategy: timing.days_after_churn waits for a churn that has not happened"),
        ([("never_with = []", 'handover = "audience"')], "hello.toml:7: strategy: handover is for strategies"),
        ([('cta = "Look in: {link}"', 'cta = "Look in."')], "hello.toml:35: templates[0].en: cta must hold {link}"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_line(refusal: Refusal, swaps: list[tuple[str, str]], said: str) -> None:
    assert said in refusal(*swaps)


def test_everything_wrong_with_a_file_is_told_at_once(refusal: Refusal) -> None:
    said = refusal(("send_hour = 12", "send_hour = 24"), ("tau = 0.1", "tau = inf"), ('source = "Opinion."\n', ""))
    assert [line.split(": ")[:2] for line in said.split("\n  fix: ")[0].splitlines()] == [
        ["hello.toml:13", "timing.send_hour"],
        ["hello.toml:23", "prior.source"],
        ["hello.toml:25", "prior.tau"],
    ]


@pytest.mark.parametrize(
    ("channels", "form", "extra", "said"),
    [
        ("sms", "card", "", "sms cannot carry a card"),
        ("email", "video", 'media = "A clip."', "email cannot carry a video"),
        ("wechat", "picture", "", "a picture needs en.media: what it shows"),
        ("wechat", "text", 'media = "A clip."', "en.media in a template of form text"),
        ("wechat", "card", "", "a card needs en.subject: its title"),
        ("wechat", "song", "", "templates[0].form"),
    ],
)
def test_a_form_that_a_channel_cannot_carry_is_refused(
    refusal: Refusal, channels: str, form: str, extra: str, said: str
) -> None:
    swaps = [('channels = ["email"]', f'channels = ["{channels}"]')] * 2
    assert said in refusal(
        *swaps,
        ('template_id = "hello_letter"', f'template_id = "hello_letter"\nform = "{form}"'),
        ('why_sent = "You agreed."', f'why_sent = "You agreed."\n{extra}'),
    )


def test_a_message_that_is_too_long_for_its_channel_is_refused_with_its_length(refusal: Refusal) -> None:
    on_sms = [('channels = ["email"]', 'channels = ["sms"]')] * 2
    long = ("Hello {first_name}.", "Hello {first_name}, " + "it has been a while " * 6)
    assert "hello.toml:34: templates[0]: en takes 178 characters on sms, where 160" in refusal(*on_sms, long)


def test_every_shipped_form_and_the_main_strategies_have_several_words(shipped: Catalogue) -> None:
    templates = [template for one in load_catalogue(industry="education").sending for template in one.templates]
    assert {template.form for template in templates} == {"text", "picture", "card", "video"}
    single = [
        one.id
        for one in shipped.sending
        if one.dose.max_touches == 1 and sum("email" in template.channels for template in one.templates) < 2
    ]
    # The yardstick says one thing, and a farewell is said once.
    assert single == ["explore", "sunset"]

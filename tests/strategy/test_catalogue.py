from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_project.errors import CatalogueError
from dagster_project.strategy.catalogue import LOCALES, Catalogue, load_catalogue
from dagster_project.strategy.catalogue_schema import SCHEMA_PATH, schema_text

VALID = """
id = "hello"
title = "Hello"
description = "A hello."
why_chosen = "a hello is short"
channels = ["email"]
never_with = []

[trigger]
stages = ["churned_early"]

[timing]
send_hour = 12

[dose]
max_touches = 1
days_between = 7
stop_rule = "Stop at a return."

[offer]
kind = "none"

[prior]
tau_low = 0.0
tau = 0.1
tau_high = 0.2
source = "Opinion."

[[templates]]
template_id = "hello_letter"
channels = ["email"]

[templates.en]
body = "Hello {first_name}."
cta = "Look in: {link}"
opt_out = "Stop: {unsubscribe_link}"
why_sent = "You agreed."

[templates.zh]
body = "{first_name}，您好。"
cta = "回来看看：{link}"
opt_out = "退订：{unsubscribe_link}"
why_sent = "您曾同意接收。"
"""

Refusal = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    def of(*swaps: tuple[str, str]) -> str:
        text = VALID
        for old, new in swaps:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "hello.toml").write_text(text, encoding="utf-8")
        with pytest.raises(CatalogueError) as caught:
            load_catalogue(tmp_path)
        return str(caught.value)

    return of


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue()


def test_the_shipped_catalogue_holds_these_strategies_in_order(shipped: Catalogue) -> None:
    assert [strategy.id for strategy in shipped.strategies] == [
        "concierge",
        "escalating_three",
        "exit_survey",
        "explore",
        "guided_restart",
        "loyalty_points",
        "price_save",
        "quiet_period",
        "seasonal_recall",
        "sunset",
        "whats_new",
    ]
    assert [strategy.id for strategy in shipped.silent] == ["quiet_period"]


def test_lost_users_are_met_by_the_sunset_only(shipped: Catalogue) -> None:
    assert [one.id for one in shipped.strategies if "lost" in one.trigger.stages] == ["sunset"]


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


def test_an_unknown_key_is_named_with_its_file(refusal: Refusal) -> None:
    said = refusal(("send_hour = 12", "send_hour = 12\nsend_minute = 5"))
    assert "hello.toml: timing.send_minute: unknown key" in said


def test_a_missing_key_is_named(refusal: Refusal) -> None:
    assert "hello.toml: prior.source: missing key" in refusal(('source = "Opinion."\n', ""))


def test_a_missing_locale_is_named(refusal: Refusal) -> None:
    text = VALID[VALID.index("[templates.zh]") :]
    assert "hello.toml: templates[0].zh: missing locale" in refusal((text, ""))


def test_a_channel_without_a_template_is_refused(refusal: Refusal) -> None:
    assert "missing template for channel 'push'" in refusal(('channels = ["email"]', 'channels = ["email", "push"]'))


def test_an_unknown_slot_is_refused(refusal: Refusal) -> None:
    said = refusal(("Hello {first_name}.", "Hello {surname}."))
    assert "hello.toml: templates[0].en: unknown slot {surname} in body" in said


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
    assert "hello.toml: channels[0]:" in refusal(('channels = ["email"]', f'channels = ["{channel}"]'))


def test_an_unknown_stage_is_refused_with_the_known_ones(refusal: Refusal) -> None:
    said = refusal(("churned_early", "churned"))
    assert "hello.toml: trigger.stages[0]:" in said
    assert "'churned_mid'" in said


def test_numbers_that_cannot_be_are_refused(refusal: Refusal) -> None:
    assert "timing.send_hour" in refusal(("send_hour = 12", "send_hour = 24"))
    assert "tau_low <= tau <= tau_high does not hold" in refusal(("tau_low = 0.0", "tau_low = 0.3"))
    assert "prior.tau" in refusal(("tau = 0.1", "tau = nan"))
    assert "kind 'none' with a cost" in refusal(('kind = "none"', 'kind = "none"\ncost = 2.0'))
    assert "max_touches must be 0 exactly when" in refusal(("max_touches = 1", "max_touches = 0"))


def test_an_id_used_twice_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "again.toml").write_text(VALID, encoding="utf-8")
    assert "hello.toml: id: 'hello' is already used in again.toml" in refusal()


def test_an_exclusion_of_an_unknown_strategy_is_refused(refusal: Refusal) -> None:
    assert "never_with: unknown strategy 'bye'" in refusal(("never_with = []", 'never_with = ["bye"]'))


def test_exclusions_in_a_circle_are_refused(refusal: Refusal, tmp_path: Path) -> None:
    other = VALID.replace('id = "hello"', 'id = "bye"').replace("never_with = []", 'never_with = ["hello"]')
    (tmp_path / "bye.toml").write_text(other, encoding="utf-8")
    said = refusal(("never_with = []", 'never_with = ["bye"]'))
    assert "bye.toml: never_with: runs in a circle (bye -> hello)" in said
    (tmp_path / "bye.toml").unlink()
    assert "runs in a circle (hello)" in refusal(("never_with = []", 'never_with = ["hello"]'))


def test_text_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("id = ", encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"x\.toml: not readable as TOML"):
        load_catalogue(tmp_path)


def test_a_folder_without_strategies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no strategy files"):
        load_catalogue(tmp_path)

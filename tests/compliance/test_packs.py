from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from dagster_project.compliance.content import review_wording
from dagster_project.compliance.law import birthday
from dagster_project.compliance.packs import FOLDER, LawBook, load_packs, shipped_law_book
from dagster_project.compliance.rules import RequiredText, minutes_of
from dagster_project.compliance.zones import country_code, country_zones, place
from dagster_project.errors import PackError

Change = Callable[[str], str]


def test_every_pack_says_that_it_is_not_legal_advice_and_cites_every_rule() -> None:
    packs = load_packs()
    assert sorted(packs) == ["cn", "default", "eu", "us"]
    assert all("not legal advice" in pack.notice for pack in packs.values())
    assert all(path.read_text(encoding="utf-8").startswith("# Not legal advice") for path in FOLDER.glob("*.toml"))
    assert all(rule.citation and rule.summary for pack in packs.values() for rule in pack.rules)


def test_a_user_is_bound_by_the_chosen_pack_and_by_that_of_the_country() -> None:
    book = LawBook(load_packs(), chosen="us", countries={"GB": "eu"})
    keys = {country: book.law(country).key for country in ("US", "CN", "China", "uk", "JP", "Atlantis", None)}
    assert keys == {
        "US": "us",
        "CN": "us+cn",
        "China": "us+cn",
        "uk": "us+eu",
        "JP": "us",
        "Atlantis": "us",
        None: "us",
    }
    assert [law.key for law in book.every_law()] == ["us", "us+cn", "us+eu"]


def test_of_two_packs_the_stricter_rule_wins() -> None:
    us, china = shipped_law_book("us").law("US"), shipped_law_book("us").law("CN")
    assert (us.needs_consent("email"), china.needs_consent("email")) == (False, True)
    assert "existing_customer" in us.bases("email") and "existing_customer" not in china.bases("email")
    assert (us.minors and us.minors.min_age, china.minors and china.minors.min_age) == (13, 18)
    assert china.consent_citation("email") == (
        "CAN-SPAM Act, 15 U.S.C. 7704(a)(3)-(5); PIPL Art. 13-14; Advertising Law Art. 43; Measures for the "
        "Administration of Internet E-mail Services (2006) Art. 13(2); 通信短信息服务管理规定 (2015) Art. 18"
    )


def test_a_channel_that_no_rule_names_needs_consent() -> None:
    law = shipped_law_book("eu").law("DE")
    assert law.needs_consent("carrier_pigeon")
    assert law.bases("carrier_pigeon") == {"consent"}


def _own(tmp_path: Path, change: Change) -> Path:
    text = (FOLDER / "us.toml").read_text(encoding="utf-8").replace('id = "us"', 'id = "mine"', 1)
    (tmp_path / "mine.toml").write_text(change(text), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda text: text.replace("not legal advice", "law", 1).replace("not legal advice", "law"),
            "mine.toml: pack: notice",
        ),
        (lambda text: text.replace("min_age = 13", 'min_age = "13"'), "mine.toml: rules.minors.any.min_age: "),
        (
            lambda text: text.replace("min_age = 13", "min_ages = 13"),
            "mine.toml: rules.minors.any.min_age: missing key",
        ),
        (lambda text: text.replace('start = "21:00"', 'start = "9pm"'), "'9pm' is not a clock time"),
        (
            lambda text: text.replace('limits = "minors"', 'limits = "children"'),
            "mine.toml: rules.minors.any: limits nothing",
        ),
        (lambda text: text.replace("miracle", "(miracle"), "is not a regular expression"),
        (lambda text: text.replace('id = "claims.en"', 'id = "text.opt_out"'), "rule id 'text.opt_out' stands twice"),
        (lambda text: text.replace('limits = "deletion"', 'limits = "complaint"'), "no rule limits deletion"),
        (lambda _: "id = ", "mine.toml: not readable as TOML"),
    ],
)
def test_a_broken_pack_is_told_by_file_and_key(tmp_path: Path, change: Change, said: str) -> None:
    with pytest.raises(PackError) as error:
        load_packs(_own(tmp_path, change))
    assert said in error.value.problem


def test_a_pack_of_ones_own_is_added(tmp_path: Path) -> None:
    book = LawBook(load_packs(_own(tmp_path, lambda text: text)), chosen="mine")
    assert book.law(None).key == "mine"
    with pytest.raises(PackError, match="no pack is called 'nine'"):
        LawBook(load_packs(), chosen="nine")
    with pytest.raises(PackError, match="'Britain' is not a country"):
        LawBook(load_packs(), chosen="eu", countries={"Britain": "eu"})
    with pytest.raises(PackError, match="no packs"):
        load_packs(tmp_path / "empty")


def test_countries_are_known_by_code_and_name() -> None:
    assert [country_code(name) for name in ("de", "Germany", "USA", "中国", "Narnia", "", None)] == [
        *("DE", "DE", "US", "CN"),
        *(None, None, None),
    ]
    assert country_zones()["CN"] == ("Asia/Shanghai", "Asia/Urumqi")


def test_a_place_is_known_by_zone_else_by_country_else_by_the_business() -> None:
    assert place("Asia/Tokyo", "DE", business_zone="UTC").zones == ("Asia/Tokyo",)
    assert place("Mars/Olympus", "DE", business_zone="Europe/Berlin").zones == ("Europe/Berlin", "Europe/Busingen")
    nowhere = place(None, "Narnia", business_zone="Europe/Berlin")
    assert (nowhere.zones, nowhere.known_by, nowhere.caution_minutes) == (("Europe/Berlin",), "business", 120)


def test_clock_times_and_birthdays() -> None:
    assert [minutes_of(text) for text in ("00:00", "9:30", "21:00:00", "24:00")] == [0, 570, 1260, 1440]
    for text in ("24:01", "9", "noon", "9:60"):
        with pytest.raises(ValueError, match="is not a clock time"):
            minutes_of(text)
    assert birthday(date(2012, 2, 29), 14) == date(2026, 3, 1)
    assert birthday(date(2012, 2, 29), 16) == date(2028, 2, 29)


def test_words_are_reviewed_in_their_language_and_for_the_industry() -> None:
    law = shipped_law_book().law("CN")
    good = {"opt_out": "{unsubscribe_link}", "why_sent": "x", "alternative": "{plain_link}", "subject": "{ad_label}x"}

    def faults(locale: str, body: str, industry: str = "commerce", **parts: str | None) -> list[tuple[str, str]]:
        found = review_wording(
            {**good, "body": body, **parts}, locale=locale, channel="email", law=law, industry=industry
        )
        return [(fault.rule_id, fault.what) for fault in found]

    assert faults("en", "A plain hello.") == []
    assert faults("en", "Simply the BEST.") == [("claims.en", "says 'the BEST'")]
    # by the law of China and by the house rules, each with its own citation
    assert faults("zh", "最佳选择") == [("claims.zh", "says '最佳'")] * 2
    assert faults("en", "We heal.") == []
    assert faults("en", "We heal.", "health") == [("sensitive.health.en", "says 'heal'")]
    # the way out is asked for by both packs, each with its own citation
    assert sorted(set(faults("en", "Hello.", subject="Hello", opt_out="No way out"))) == [
        ("text.label", "does not begin with {ad_label}"),
        ("text.opt_out", "lacks {unsubscribe_link}"),
    ]
    assert faults("en", "Hello.", alternative=None) == [("text.alternative", "is missing")]


@pytest.mark.parametrize("chosen", ["default", "eu", "us", "cn"])
@pytest.mark.parametrize(
    ("locale", "industry", "body", "rule_id"),
    [
        ("zh", "commerce", "全网最低价", "sensitive.commerce.zh"),
        ("zh", "health", "一次根治", "sensitive.health.zh"),
        ("zh", "finance", "保本稳赚", "sensitive.finance.zh"),
        ("zh", "education", "考试保过", "sensitive.education.zh"),
        ("zh", "social", "国家级推荐", "claims.zh"),
        ("en", "commerce", "Never cheaper.", "sensitive.commerce.en"),
        ("en", "health", "It heals.", "sensitive.health.en"),
        ("en", "finance", "You cannot lose.", "sensitive.finance.en"),
        ("en", "education", "A guaranteed pass.", "sensitive.education.en"),
        ("en", "social", "Are you lonely?", "sensitive.social.en"),
        ("en", "commerce", "A 100 % safe choice.", "claims.en"),
    ],
)
def test_the_words_of_the_house_rules_are_forbidden_beneath_every_pack(
    chosen: str, locale: str, industry: str, body: str, rule_id: str
) -> None:
    law = shipped_law_book(chosen).law(None)
    found = review_wording({"body": body}, locale=locale, channel="push", law=law, industry=industry)
    assert rule_id in {fault.rule_id for fault in found}
    assert all(fault.citation for fault in found)


def test_beneath_a_pack_only_what_is_said_of_words_is_added() -> None:
    law = shipped_law_book("us").law("US")
    assert law.key == "us"
    assert {rule.limits for rule in law.house} == {"forbidden_words", "required_text"}
    assert not law.needs_consent("email")
    assert shipped_law_book("us").law("US").of_kind(RequiredText, "email")[-1].id == "text.reason"


def test_the_house_rules_forbid_every_chinese_word_that_the_law_of_china_does() -> None:
    packs = load_packs()
    words = {
        name: {rule.id: rule.patterns for rule in packs[name].rules if getattr(rule, "locale", None) == "zh"}
        for name in ("default", "cn")
    }
    assert words["default"] == words["cn"] != {}

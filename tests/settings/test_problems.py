import pytest

from dagster_project.errors import SettingsError
from dagster_project.settings.problems import dotted


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ("horizn_days = 60", "horizn_days = 60: unknown key", "did you mean horizon_days?"),
        ("root = '/tmp'", "root: unknown key", "drop root"),
        ("horizon_days = 0", "horizon_days = 0: must be a whole number from 1 to 365", "horizon_days = 60"),
        (
            "horizon_days = 366",
            "horizon_days = 366: must be a whole number from 1 to 365",
            "horizon_days = 60",
        ),
        ("horizon_days = true", "horizon_days = true: must be a whole number", "horizon_days = 60"),
        ("seed = '7'", 'seed = "7": must be a whole number', "seed = 7"),
        ("core_events = []", "core_events = []: is empty", 'core_events = ["purchase"]'),
        ("core_events = 'buy'", 'core_events = "buy": must be a list of texts', 'core_events = ["purchase"]'),
        ("core_events = ['a', 'a']", 'core_events = ["a", "a"]: names a twice', "write it once"),
        ("core_events = [' ']", 'core_events = [" "]: holds an empty text', "take it out"),
        ("timezone = 'Europe/Londn'", "is not an IANA time zone", 'did you mean "Europe/London"?'),
        ("timezone = '../etc'", "is not an IANA time zone", ""),
        ("timezone = 'Europe'", "is not an IANA time zone", ""),
        ("currency = 'gbp'", 'currency = "gbp": is not an ISO 4217 code', '"GBP"'),
        ("currency = 'EURO'", "is not an ISO 4217 code", '"EUR"'),
        ("first_as_of = '2011-02-30'", "is not a date", "YYYY-MM-DD"),
        (
            "first_as_of = 1899-01-01",
            "first_as_of = 1899-01-01: is outside quality.earliest_on",
            "within them",
        ),
        ("first_as_of = 2011-01-01T00:00:00", "must be a date", 'first_as_of = "2011-06-01"'),
        ("paths = 'data'", 'paths = "data": must be a section', "[paths] with keys of data, reports"),
        ("[paths]\ndata = ''", 'paths.data = "": is empty', 'data = "data"'),
        ("[quality]\nearliest_on = 2100-01-01", "must be before quality.latest_on", "earlier date"),
        (
            "[quality]\nmax_quarantine_share = 5",
            "must be a number from 0 to 1",
            "max_quarantine_share = 0.05",
        ),
        ("[churn]\ncalendar_days = 6", "must be a whole number from 7 to 730", "calendar_days = 90"),
        ("[churn]\nprimary = 'model'", 'must be one of "cadence", "calendar", "data_driven"', "cadence"),
        ("[holdout]\ncontrol_share = 0.51", "must be a number from 0 to 0.5", "control_share = 0.1"),
        ("[holdout]\ncontrol_share = 0.5\nexplore_share = 0.5", "leaves nobody to treat", "add up to < 1"),
        (
            "[budget]\nper_night = -1",
            "budget.per_night = -1: must be a number above 0",
            "per_night = 250.0",
        ),
        ("[budget]\nper_night = 0", "must be a number above 0", "per_night = 250.0"),
        ("[budget]\nmax_contacts = 0", "must be a whole number at least 1", "max_contacts = 5000"),
        ("[channels.sms]\ncost = 1\ncapacity = 0", "must be a whole number at least 1", "capacity = 20000"),
        ("[strategies.control_shares]\nprice_save = 1", "must be a number", "control_shares"),
        ("[budget]\nper_night = inf", "must be a finite number", "per_night = 250.0"),
        ("[budget]\nper_night = nan", "must be a finite number", "per_night = 250.0"),
        ("[value]\nmargin_share = 0", "must be a number at most 1 and above 0", "margin_share = 1.0"),
        ("[channels]", "channels: is empty", "[channels.NAME] with the keys cost"),
        ("[channels.SMS]\ncost = 1", "channels.SMS: is not a valid name", "small letters"),
        ("[channels.sms]", "channels.sms.cost: required key is missing", "cost = 0.002"),
        ("[channels.sms]\ncost = 1\nhour = 3", "channels.sms.hour = 3: unknown key", "did you mean hours?"),
        ("[channels.sms]\ncost = 1\nhours = '9-20'", "is not a range of hours", "09:00-20:00"),
        ("[channels.sms]\ncost = 1\nhours = '20:00-09:00'", "ends before it starts", "earlier time first"),
        ("[channels.sms]\ncost = 1\nhours = '09:00-24:00'", "is not a range of hours", "HH:MM-HH:MM"),
        ("[compliance]\nindustry = 'toys'", "must be one of", "industry"),
        ("[models]\nmax_cutoffs = 1", "must be a whole number from 2 to 36", "max_cutoffs = 8"),
        ("[schedule]\nat = '25:00'", "is not a clock time", "HH:MM"),
        ("[schedule]\nat = 02:00:00", "must be a text", 'at = "02:00"'),
        ("[engine]\nmemory_limit = '2'", "is not in the form", 'memory_limit = "2GB"'),
        ("[engine]\nthreads = 0", "must be a whole number at least 1", "threads = 2"),
        ("[sources.event]", "sources.event: unknown key", "did you mean events?"),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_its_fix(refused, minimal, text, problem, fix):
    problems, fixes = refused(f"{text}\n{minimal}")
    assert len(problems) == len(fixes) == 1
    assert problems[0].startswith("winback.toml: ")
    assert problem in problems[0]
    assert fix in fixes[0]


def test_all_problems_are_told_at_once_in_one_line_each(refused):
    problems, fixes = refused(
        """
        seed = -1
        horizn_days = 60
        [sources.events]
        columns = { user_idd = "id", occurred_at = 3 }
        """
    )
    assert problems == [
        "winback.toml: sources.events.path: required key is missing",
        'winback.toml: sources.events.columns.user_idd = "id": unknown column of events',
        "winback.toml: sources.events.columns.user_id: required column is missing",
        "winback.toml: sources.events.columns.event_type: required column is missing",
        "winback.toml: sources.events.columns.occurred_at = 3: must be a text",
        "winback.toml: seed = -1: must be a whole number from 0 to 4294967295",
        "winback.toml: horizn_days = 60: unknown key",
    ]
    assert [fix.split(": ")[0] for fix in fixes] == [problem.split(": ")[1].split(" = ")[0] for problem in problems]


def test_a_problem_names_the_line_of_its_key_or_of_the_nearest_section(load, minimal):
    with pytest.raises(SettingsError) as caught:
        load(f"seed = 1\n\n[budget]\nper_night = 0\n[channels.sms]\n{minimal}")
    places = [line.split("/")[-1].split(": ")[:2] for line in caught.value.problem.splitlines()]
    assert places == [["winback.toml:4", "budget.per_night = 0"], ["winback.toml:5", "channels.sms.cost"]]


def test_a_file_without_sources_is_told_which_section_to_add(refused):
    problems, fixes = refused("seed = 1")
    assert problems == ["winback.toml: sources: required key is missing"]
    assert fixes == ["sources: write a section [sources.events] with the keys path, columns"]


def test_a_long_value_is_cut(refused, minimal):
    problems, _ = refused(f'currency = "{"x" * 500}"\n{minimal}')
    assert len(problems[0]) < 160


def test_a_key_that_is_no_bare_word_is_quoted():
    assert dotted(("channels", "Bad Name", "[key]")) == 'channels."Bad Name"'

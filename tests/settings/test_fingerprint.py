import pytest

from dagster_project.settings import load_settings, settings_hash


def test_the_hash_is_a_sha256(load, minimal):
    assert len(settings_hash(load(minimal))) == 64


@pytest.mark.parametrize(
    "lines",
    [
        "[paths]\ndata = 'x'",
        "[engine]\nthreads = 1",
        "[schedule]\nat = '04:00'",
        "[holdout]\ncontrol_share = 0.1",
    ],
)
def test_what_cannot_change_an_output_leaves_the_hash_alone(load, minimal, lines):
    assert settings_hash(load(minimal + lines)) == settings_hash(load(minimal))


@pytest.mark.parametrize(
    "lines",
    [
        "where = 'id > 0'",
        "timezone = 'Asia/Shanghai'",
        "[holdout]\nsalt = 'x'",
        "[channels.email]\ncost = 0.003",
        "[strategies]\ndisabled = ['x']",
        "[sources.links]\npath = 'l.csv'\ncolumns = { user_id = 'a', other_user_id = 'b', kind = 'c' }",
    ],
)
def test_what_can_change_an_output_changes_the_hash(load, minimal, lines):
    assert settings_hash(load(minimal + lines)) != settings_hash(load(minimal))


def test_where_the_files_lie_leaves_the_hash_alone(load, minimal, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "other.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(minimal.replace("events.csv", "/mnt/events.csv"))
    assert settings_hash(load_settings(elsewhere)) == settings_hash(load(minimal))


def test_the_order_of_keys_leaves_the_hash_alone(load, minimal):
    text = '[caps]\nmin_days_between = 3\n[budget]\nmax_contacts = 4\n[sources.events]\npath = "events.csv"\n'
    columns = "columns = { event_type = \"'visit'\", occurred_at = 'at', user_id = 'id' }\n"
    other = f"{minimal}[budget]\nmax_contacts = 4\n[caps]\nmin_days_between = 3\n"
    assert settings_hash(load(text + columns)) == settings_hash(load(other))

import pickle
from datetime import date

import pytest
from pydantic import ValidationError

from dagster_project.settings.frozen import FrozenMapping
from dagster_project.settings.tables import CANONICAL


def test_settings_cannot_be_changed(load, minimal):
    settings = load(minimal)
    with pytest.raises(ValidationError):
        settings.seed = 8
    with pytest.raises(TypeError):
        settings.channels["sms"] = settings.channels["email"]
    with pytest.raises(TypeError):
        settings.sources.events.columns["item"] = "sku"


def test_equal_files_give_equal_settings_that_hash_equally(load, minimal):
    first, second = load(minimal), load(minimal)
    assert first == second
    assert hash(first) == hash(second)


def test_settings_survive_pickling(load, minimal):
    settings = load(minimal)
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301


def test_dates_may_be_quoted_or_not(load, minimal):
    assert load(f"first_as_of = 2011-06-01\n{minimal}").first_as_of == date(2011, 6, 1)
    assert load(f'first_as_of = "2011-06-01"\n{minimal}').first_as_of == date(2011, 6, 1)


def test_whole_numbers_serve_where_a_number_is_asked(load, minimal):
    assert load(f"{minimal}[value]\nmargin_share = 1\n").value.margin_share == 1.0


def test_a_frozen_mapping_keeps_order_and_ignores_it_when_compared():
    mapping = FrozenMapping({"b": 1, "a": 2})
    assert list(mapping) == ["b", "a"]
    assert mapping == {"a": 2, "b": 1}
    assert hash(mapping) == hash(FrozenMapping({"a": 2, "b": 1}))


def test_the_sections_of_sources_are_the_canonical_tables(load, minimal):
    assert list(type(load(minimal).sources).model_fields) == list(CANONICAL)

from pathlib import Path

import polars as pl
import pytest

from dagster_project.errors import CatalogueError
from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.catalogue import Catalogue, Prior
from dagster_project.strategy.lift import FLOOR
from dagster_project.strategy.priors import PATH, content_fit, load_priors, reason_fit


def _written(folder: Path, *, old: str, new: str) -> Path:
    path = folder / "priors.toml"
    text = PATH.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_sizes_that_come_with_the_package_are_those_declared_before_any_run() -> None:
    strategy, content, reason = load_priors().parts(
        Prior(tau_low=-0.07, tau=0.25, tau_high=0.57, source="s"), channel="email"
    )
    assert strategy.size == 0.25
    assert strategy.sd == pytest.approx(0.25, abs=0.001)
    assert (content.size, content.sd) == (0.5, 0.15)
    assert (reason.size, reason.sd) == (0.3, 0.15)
    assert [part.weights for part in (strategy, content, reason)] == [(0.6, 0.3, 0.1)] * 3


def test_a_channel_shifts_the_strategy_and_a_narrow_opinion_is_widened() -> None:
    sure = Prior(tau_low=0.2, tau=0.2, tau_high=0.2, source="s")
    assert load_priors().parts(sure, channel="phone")[0].size == pytest.approx(0.4)
    assert load_priors().parts(sure, channel="email")[0].sd == 0.05


def test_every_part_leaves_the_floor_and_names_its_source(catalogue: Catalogue) -> None:
    for strategy in catalogue.sending:
        for part in load_priors().parts(strategy.prior, channel="email"):
            assert min(part.weights) >= FLOOR
            assert len(part.source) > 20


def test_every_strategy_that_sends_to_the_lapsed_says_which_reasons_it_answers(catalogue: Catalogue) -> None:
    for strategy in catalogue.sending:
        assert bool(load_priors().reason_fits(strategy.id)) == strategy.trigger.is_for_lapsed, strategy.id
    assert load_priors().reason_fits("of your own") == {}
    assert "source" not in {strategy.id for strategy in catalogue.strategies}


def test_strategies_for_a_reason_judge_every_reason_and_their_own_best(catalogue: Catalogue) -> None:
    for strategy in catalogue.sending:
        fits = load_priors().reason_fits(strategy.id)
        if strategy.trigger.reasons:
            assert set(fits) == set(REASONS), strategy.id
            assert max(fits.values()) == max(fits[reason] for reason in strategy.trigger.reasons) >= 0.75
            assert fits["unknown"] == 0.0
            assert fits["explicit_stop"] == -1.0


def test_an_uncertain_reason_moves_little_and_an_unknown_one_nothing() -> None:
    fits = load_priors().reason_fits("price_save")
    users = pl.DataFrame(
        {
            "p_price_or_plan": [1.0, 0.3, 0.0, None],
            "p_explicit_stop": [0.0, 0.1, 0.0, None],
            "p_unknown": [0.0, 0.6, 1.0, None],
        }
    )
    found = users.select(reason_fit(fits, columns=frozenset(users.columns)).alias("fit"))["fit"]
    assert found.to_list() == pytest.approx([1.0, 0.3 - 0.1, 0.0, 0.0])


def test_without_reasons_nothing_is_made_of_them() -> None:
    users = pl.DataFrame({"user_sk": [1]})
    fit = reason_fit(load_priors().reason_fits("price_save"), columns=frozenset(users.columns))
    assert users.select(fit.alias("fit"))["fit"].to_list() == [0.0]


def test_content_fits_who_chose_from_it_and_misses_who_chose_from_others_only() -> None:
    users = pl.DataFrame(
        {"categories": [["womens"], ["mens"], ["mens", "womens"], [], None]},
        schema={"categories": pl.List(pl.String)},
    )
    found = users.select(content_fit(("Womens",), categories="categories").alias("fit"))["fit"]
    assert found.to_list() == [1.0, -1.0, 1.0, 0.0, 0.0]
    neutral = users.select(content_fit((), categories="categories").alias("fit"))["fit"]
    assert neutral.to_list() == [0.0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("better = 0.6", "better = 0.95", "strategy.better"),
        ("worse = 0.1", "worse = 0.2", "add up to 1.1"),
        ("worse = 0.1", "wrong = 0.1", "strategy.w"),
        ("sd = 0.15", "sd = 0.0", "content.sd"),
        ("service_failure = 1.0", "service_failures = 1.0", "no reason is called 'service_failures'"),
        ("size = 0.50", "size = ", "not readable as TOML"),
    ],
)
def test_a_broken_file_is_refused_by_name_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(CatalogueError, match=said) as refused:
        load_priors(_written(tmp_path, old=old, new=new))
    assert "priors.toml" in refused.value.problem

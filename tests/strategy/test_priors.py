from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dagster_project.errors import CatalogueError
from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.catalogue import Catalogue, Prior, Strategy, load_catalogue
from dagster_project.strategy.lift import FLOOR
from dagster_project.strategy.priors import PARTS, PATH, Beliefs, content_fit, load_priors, part_fits, reason_fit


def _written(folder: Path, *, old: str, new: str) -> Path:
    path = folder / "priors.toml"
    text = PATH.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def _strategy(tau_low: float, tau: float, tau_high: float) -> Strategy:
    prior = Prior(tau_low=tau_low, tau=tau, tau_high=tau_high, source="s")
    return load_catalogue().by_id["concierge"].model_copy(update={"prior": prior})


def test_the_sizes_that_come_with_the_package_are_those_declared_before_any_run() -> None:
    belief = Beliefs(load_priors()).of(_strategy(-0.07, 0.25, 0.57), channel="email")
    right = belief.weights.argmax()
    assert belief.parts == PARTS
    assert belief.means[right].tolist() == pytest.approx([0.25, 0.5, 0.3])
    assert np.sqrt(np.diag(belief.covariances[right])) == pytest.approx([0.25, 0.15, 0.15], abs=0.001)
    assert [belief.part_weights(part)["better"] for part in PARTS] == pytest.approx([0.6] * 3)


def test_a_channel_shifts_the_strategy_and_a_narrow_opinion_is_widened() -> None:
    beliefs, sure = Beliefs(load_priors()), _strategy(0.2, 0.2, 0.2)
    email, phone = (beliefs.of(sure, channel=channel) for channel in ("email", "phone"))
    assert phone.means[:, 0] == pytest.approx(email.means[:, 0] + 0.2)
    assert np.sqrt(email.covariances[0, 0, 0]) == pytest.approx(0.05)


def test_every_part_leaves_the_floor_and_names_its_source(catalogue: Catalogue) -> None:
    for strategy in catalogue.sending:
        for part in load_priors().parts(strategy.prior):
            assert min(part.weights) >= FLOOR
            assert len(part.source) > 20


def test_deviations_count_where_the_user_is_of_the_kind_and_nowhere_else() -> None:
    users = pl.DataFrame({"stage": ["churned_mid", "lost", None], "fit": [1.0, None, -1.0]})
    parts = ("strategy", "content", "reason", "stage=churned_mid", "value_tier=high")
    exprs = part_fits(parts, content=pl.col("fit"), reason=pl.lit(0.5), columns=frozenset(users.columns))
    assert users.select(exprs).rows() == [
        (1.0, 1.0, 0.5, 1.0, 0.0),
        (1.0, 0.0, 0.5, 0.0, 0.0),
        (1.0, -1.0, 0.5, 0.0, 0.0),
    ]


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

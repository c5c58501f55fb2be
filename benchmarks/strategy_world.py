"""A world of churned users whose truth is kept apart: what each message would cause, and what a night is told of it.

Everything is drawn anew for each seed. How campaigns behave in these worlds was written down before any run, and comes
from elsewhere than the product's file of priors:

- Two campaigns of three work as their author meant, in size as the author says, give or take a factor of 1.5; a quarter
  do nothing; one in ten does harm. (Messages against none, not one wording against another: both mails of the
  MineThatData test of 2008 worked; Sahni, Zou & Chintagunta 2017, seventy field experiments with mailed offers, find a
  gain on average; Ascarza 2018 finds campaigns that drive people away.)
- What people chose before matters for what they answer, by about 0.4 log-odds (the MineThatData test: the mail about
  what was bought before gains twice the other); in one world of five it does not, in one of twenty the other way round.
- An author's opinion on which reason a message answers is right for three pairs of four; the rest is unrelated.
- HARSH is a nature that has less patience with authors: half of the campaigns work, a third of the worlds do not care
  for content or turn it round, a third of the pairs are unrelated (Kohavi, Longbotham, Sommerfield & Henne 2009: of
  changes to a page that were thought through, a third improve it).
- Channels, stages and single users differ by a tenth of log-odds or so, which nobody has foreseen.
- Values are log-normal with a heavy tail; forecasts of returns, values, harm and reasons are calibrated, not exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.compliance.packs import shipped_law_book
from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.catalogue import Catalogue, load_catalogue
from dagster_project.strategy.eligibility import cases_of
from dagster_project.strategy.learning import OUTCOMES
from dagster_project.strategy.options import price_options
from dagster_project.strategy.priors import Beliefs, Priors, content_fit, load_priors, reason_fit
from dagster_project.strategy.rules import ChannelRules, DecisionRules

Floats = npt.NDArray[np.float64]

CHANNELS = {"email": (0.01, 0.85), "push": (0.0, 0.45), "sms": (0.06, 0.55), "wechat": (0.02, 0.3), "phone": (2.0, 0.4)}
CAPACITY_SHARES = {"email": 0.30, "push": 0.15, "sms": 0.08, "wechat": 0.08, "phone": 0.01}
STAGES = {"churned_early": 0.45, "churned_mid": 0.3, "churned_late": 0.15, "relapsed": 0.1}
LEFT_BECAUSE = tuple(
    reason for reason in REASONS if reason not in ("measurement_gap", "identity_switch", "delivery_dead")
)
CATEGORIES = ("shoes", "books", "games", "garden")
SPEAKS_OF = {"whats_new": ("shoes",), "guided_restart": ("books", "games"), "loyalty_points": ("garden",)}
AS_OF = date(2026, 6, 1)
MARGIN_SHARE, REACH_WORTH_SHARE = 0.3, 0.05
EVIDENCE = 1.5  # standard deviations by which the evidence of the true reason stands out
ODDS_SD = 0.5  # of what the forecast of a return does not see
VALUE_SD = 1.0
KEYS = ["user_sk", "strategy_id", "channel"]
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)


@dataclass(frozen=True)
class Nature:
    """How kind the worlds are to what authors believe. Shares of campaigns, of worlds, of pairs with a reason."""

    campaigns: tuple[float, float, float]  # works as meant, nothing, harms
    content: tuple[float, float, float]  # matters, nothing, the other way round
    right_answers: float


USUAL = Nature(campaigns=(0.65, 0.25, 0.10), content=(0.75, 0.20, 0.05), right_answers=0.75)
HARSH = Nature(campaigns=(0.50, 0.35, 0.15), content=(0.70, 0.20, 0.10), right_answers=2 / 3)


@dataclass(frozen=True)
class Truth:
    """What nobody in the product is told. Lifts in log-odds."""

    own: dict[str, float]
    content: dict[str, float]
    answers: dict[tuple[str, str], float]
    channel: dict[tuple[str, str], float]
    stage: dict[tuple[str, str], float]
    redeem_factor: dict[str, float]
    base: float
    drift: float
    reason_shares: Floats
    median_value: float
    user_sd: float = 0.15


@dataclass(frozen=True)
class World:
    """One firm: its catalogue and rules, and the truth."""

    seed: int
    catalogue: Catalogue
    rules: DecisionRules
    truth: Truth


@dataclass(frozen=True)
class Night:
    """The users of one night as `decide` takes them, and every option that they have with what it is worth in truth.

    `options`: user_sk, strategy_id, channel; `caused`: what the message adds to this user's chance of a return;
    `true_uplift`, `true_cost`, `true_profit`: the same and its money on average over all users of whom the same is
    known as of this one: the most that anybody could know. `people`: each user's hidden traits.
    """

    candidates: pl.DataFrame
    contact_points: pl.DataFrame
    people: pl.DataFrame
    options: pl.DataFrame


def draw_world(
    seed: int, *, n_users: int, nature: Nature = USUAL, control_share: float = 0.10, explore_share: float = 0.05
) -> World:
    """A firm whose night has `n_users` churned users."""
    rng = np.random.default_rng([seed, 1])
    priors, shipped = load_priors(), load_catalogue()
    spoken = {name: words for name, words in SPEAKS_OF.items() if name in shipped.by_id}
    catalogue = Catalogue(
        strategies=tuple(one.model_copy(update={"content": spoken.get(one.id, ())}) for one in shipped.strategies)
    )
    channels = {
        name: ChannelRules(
            cost=cost * float(rng.lognormal(0, 0.2)), capacity=max(int(n_users * CAPACITY_SHARES[name]), 1)
        )
        for name, (cost, _) in CHANNELS.items()
    }
    rules = DecisionRules(
        salt=f"world {seed}",
        book=shipped_law_book(),
        beliefs=Beliefs(priors),
        channels=channels,
        margin_share=MARGIN_SHARE,
        business_timezone="UTC",
        control_share=control_share,
        explore_share=explore_share,
        budget_per_night=n_users * float(rng.uniform(0.02, 0.08)),
        reach_worth_share=REACH_WORTH_SHARE,
    )
    return World(seed, catalogue, rules, draw_truth(rng, catalogue, priors, nature=nature))


def draw_truth(rng: np.random.Generator, catalogue: Catalogue, priors: Priors, *, nature: Nature) -> Truth:
    """How campaigns behave in one world; see the head of this module."""
    strategies = catalogue.sending
    by_choice = rng.choice([rng.lognormal(np.log(0.4), 0.4), 0.0, -0.2], p=nature.content)
    answers = {}
    for one in strategies:
        said = priors.reason_fits(one.id)
        for reason in LEFT_BECAUSE:
            right, size, stray = rng.random() < nature.right_answers, 0.3 * rng.lognormal(0, 0.4), rng.normal(0, 0.15)
            answers[one.id, reason] = float(said.get(reason, 0.0) * size if right else stray)
    return Truth(
        own={one.id: _own_lift(rng, one.prior.tau, nature) for one in strategies},
        content={one.id: float(by_choice * rng.lognormal(0, 0.3)) for one in strategies},
        answers=answers,
        channel={(one.id, name): float(rng.normal(0, 0.1)) for one in strategies for name in CHANNELS},
        stage={(one.id, name): float(rng.normal(0, 0.1)) for one in strategies for name in STAGES},
        redeem_factor={one.id: float(rng.lognormal(0, 0.3)) for one in strategies},
        base=float(rng.normal(-2.2, 0.4)),
        drift=float(rng.normal(0, 0.1)),
        reason_shares=rng.dirichlet(np.ones(len(LEFT_BECAUSE))),
        median_value=float(np.exp(rng.uniform(np.log(40), np.log(150)))),
    )


def _own_lift(rng: np.random.Generator, meant: float, nature: Nature) -> float:
    fate = rng.choice(["works", "nothing", "harms"], p=nature.campaigns)
    if fate == "works":
        return float(max(meant, 0.05) * rng.lognormal(0, 0.4))
    return float(rng.normal(0, 0.05) if fate == "nothing" else -abs(rng.normal(0, 0.2)))


def draw_night(world: World, *, n_users: int, stream: int, as_of: date = AS_OF) -> Night:
    """`n_users` users of the world. The same stream gives the same users, whatever the rules believe."""
    rng = np.random.default_rng([world.seed, 2, stream])
    truth = world.truth
    stage = rng.choice(list(STAGES), n_users, p=list(STAGES.values()))
    days_silent = rng.integers(60, 400, n_users)
    seen, hidden = rng.standard_normal(n_users), rng.standard_normal(n_users)
    odds_seen = truth.base + 0.8 * seen - 0.5 * (stage == "churned_late")
    p_told = _mean_sigma(odds_seen, ODDS_SD)
    value = truth.median_value * rng.lognormal(0, VALUE_SD, n_users)
    harm_seen = rng.standard_normal(n_users)
    reason, chances = _reasons(rng, truth, n_users)
    liked = rng.integers(0, len(CATEGORIES), n_users)
    tells = rng.random(n_users) < 0.7
    ids = [f"{stream}-{place}" for place in range(n_users)]
    candidates = pl.DataFrame(
        {
            "user_sk": np.arange(n_users),
            "user_id": ids,
            "stage": stage,
            "is_churned": np.ones(n_users, dtype=bool),
            "days_silent": days_silent.astype(np.int32),
            "usual_gap_days": np.full(n_users, 14.0),
            "churned_on": [as_of - timedelta(days=int(days) - 30) for days in days_silent],
            "p_return": _sigma(_logit(p_told) - truth.drift),
            "value_if_returned": value,
            "timezone": pl.Series([None] * n_users, dtype=pl.String),
            "country": pl.Series([None] * n_users, dtype=pl.String),
            "locale": pl.Series([None] * n_users, dtype=pl.String),
            "person_key": pl.Series([None] * n_users, dtype=pl.String),
            "fatigue_probability": _sigma(-5 + 0.6 * harm_seen),
            "categories": pl.Series([[CATEGORIES[k]] if t else [] for k, t in zip(liked, tells, strict=True)]),
            **{f"p_{name}": chances[:, place] for place, name in enumerate(LEFT_BECAUSE)},
            "reason": [LEFT_BECAUSE[place] for place in chances.argmax(axis=1)],
        }
    )
    people = pl.DataFrame(
        {
            "user_sk": np.arange(n_users),
            "odds_seen": odds_seen,
            "p_told": p_told,
            "p_true": _sigma(odds_seen + ODDS_SD * hidden),
            "true_harm": _mean_sigma(-5 + 0.6 * harm_seen, 0.4),
            "is_told": tells,
            "true_reason": [LEFT_BECAUSE[place] for place in reason],
            "liked": [CATEGORIES[place] for place in liked],
            "own_bent": rng.normal(0, truth.user_sd, n_users),
            "luck": rng.random(n_users),
        }
    )
    open_on = {name: rng.random(n_users) < share for name, (_, share) in CHANNELS.items()}
    points = _contact_points(open_on)
    options = true_options(world, candidates, points, people, as_of=as_of)
    return Night(candidates, points, people, options)


def experiment(world: World, *, n_users: int, stream: int, control_share: float = 0.25) -> pl.DataFrame:
    """Outcomes (OUTCOMES) of a past test: a quarter held out, the others each given one of their options at random."""
    night = draw_night(world, n_users=n_users, stream=stream)
    rng = np.random.default_rng([world.seed, 3, stream])
    place = pl.int_range(pl.len()).over("user_sk")
    draws = pl.DataFrame({"user_sk": np.arange(n_users), "draw": rng.random(n_users), "arm_draw": rng.random(n_users)})
    drawn = (
        night.options.join(draws, on="user_sk", how="inner")
        .with_columns(pl.len().over("user_sk").alias("n_options"))
        .sort(KEYS)
        .filter(place == (pl.col("draw") * pl.col("n_options")).floor().cast(pl.Int64))
    )
    is_treated = pl.col("arm_draw") >= control_share
    given = drawn.with_columns(
        is_treated.alias("is_treated"),
        pl.when(is_treated).then(pl.lit("treat")).otherwise(pl.lit("control")).alias("arm"),
        pl.when(is_treated)
        .then((1 - control_share) / pl.col("n_options"))
        .otherwise(control_share)
        .alias("propensity"),
    )
    outcomes = outcomes_of(world, night, given, assigned_on=AS_OF - timedelta(days=30), experiment_id="past test")
    # Those held out were to get nothing in particular.
    return outcomes.with_columns(pl.when("is_treated").then("strategy_id").alias("strategy_id"))


def outcomes_of(
    world: World, night: Night, given: pl.DataFrame, *, assigned_on: date, experiment_id: str
) -> pl.DataFrame:
    """What came of it: OUTCOMES of the rows given (user_sk, strategy_id, channel, arm, is_treated, propensity)."""
    truth = night.options.select(*KEYS, "caused")
    facts = night.candidates.select("user_sk", "stage", "reason", "categories", pl.col("^p_.*$"))
    rows = given.select("user_sk", "strategy_id", "channel", "arm", "is_treated", "propensity")
    rows = (
        rows.join(truth, on=KEYS, how="left")
        .join(night.people.select("user_sk", "p_true", "luck"), on="user_sk", how="left")
        .join(facts, on="user_sk", how="left")
    )
    chance = pl.col("p_true") + pl.when("is_treated").then("caused").otherwise(0.0)
    return (
        rows.with_columns(
            (pl.col("luck") < chance).alias("is_return"),
            pl.lit(experiment_id).alias("experiment_id"),
            pl.lit(assigned_on).alias("assigned_on"),
            pl.lit(value=True).alias("is_randomised"),
            pl.lit(None, dtype=pl.String).alias("value_tier"),
            *_fits(world, rows.columns),
        )
        .sort("user_sk")
        .select([pl.col(name).cast(kind) for name, kind in OUTCOMES.items()])
    )


def _fits(world: World, columns: Sequence[str]) -> list[pl.Expr]:
    """The fits of content and reason of the row's own strategy."""
    content, reason = pl.lit(0.0), pl.lit(0.0)
    for one in world.catalogue.sending:
        is_own = pl.col("strategy_id") == one.id
        fits = world.rules.beliefs.priors.reason_fits(one.id)
        content = pl.when(is_own).then(content_fit(one.content, categories="categories")).otherwise(content)
        reason = pl.when(is_own).then(reason_fit(fits, columns=frozenset(columns))).otherwise(reason)
    return [content.alias("fit_content"), reason.alias("fit_reason")]


def true_options(
    world: World, candidates: pl.DataFrame, points: pl.DataFrame, people: pl.DataFrame, *, as_of: date
) -> pl.DataFrame:
    """Every option that the product allows, with what it would bring in truth."""
    free = replace(world.rules, beliefs=Beliefs(world.rules.beliefs.priors))
    cases = cases_of(candidates, points, catalogue=world.catalogue, rules=free, as_of=as_of)
    options = price_options(cases, catalogue=world.catalogue, rules=free, as_of=as_of)
    known = candidates.select("user_sk", "stage", "value_if_returned", *(f"p_{name}" for name in LEFT_BECAUSE))
    facts = people.join(known, on="user_sk", how="left")
    options = options.join(facts, on="user_sk", how="left", maintain_order="left")
    options = _with_lifts(world, options)
    p, reach = options["p_true"].to_numpy(), options["lift_but_reason"].to_numpy()
    lift = reach + options["own_bent"].to_numpy() + options["lift_of_content"].to_numpy()
    lift = lift + [world.truth.answers[key] for key in options.select("strategy_id", "true_reason").iter_rows()]
    told = _expected_return(world, options)
    return options.select(
        *KEYS,
        pl.Series("caused", _sigma(_logit(p) + lift) - p),
        pl.Series("true_uplift", told - options["p_told"].to_numpy()),
        *_money(world, options, told),
    ).sort(KEYS)


def _with_lifts(world: World, options: pl.DataFrame) -> pl.DataFrame:
    """The options with the parts of their lifts: what everybody shares, and what hangs on what the user likes."""
    truth, by_id = world.truth, world.catalogue.by_id
    likes = [
        truth.content[one] * (1.0 if liked in by_id[one].content else -1.0) if by_id[one].content else 0.0
        for one, liked in options.select("strategy_id", "liked").iter_rows()
    ]
    shared = [
        truth.own[one] + truth.channel[one, channel] + truth.stage[one, stage]
        for one, channel, stage in options.select("strategy_id", "channel", "stage").iter_rows()
    ]
    return options.with_columns(pl.Series("lift_but_reason", shared), pl.Series("lift_of_content", likes))


def _expected_return(world: World, options: pl.DataFrame) -> Floats:
    """P(return with the contact) of the average user of whom the same is known as of this one."""
    truth, by_id = world.truth, world.catalogue.by_id
    ids = options["strategy_id"].to_list()
    spread = np.hypot(ODDS_SD, truth.user_sd)
    matches = np.asarray([len(by_id[one].content) / len(CATEGORIES) for one in ids])
    content = np.asarray([truth.content[one] if by_id[one].content else 0.0 for one in ids])
    is_told, known = options["is_told"].to_numpy(), options["lift_of_content"].to_numpy()
    odds = options["odds_seen"].to_numpy() + options["lift_but_reason"].to_numpy()
    found = np.zeros(len(odds))
    for reason in LEFT_BECAUSE:
        answered = np.asarray([truth.answers[one, reason] for one in ids])
        as_liked = _mean_sigma(odds + answered + np.where(is_told, known, content), spread)
        as_not = _mean_sigma(odds + answered + np.where(is_told, known, -content), spread)
        found += options[f"p_{reason}"].to_numpy() * (matches * as_liked + (1 - matches) * as_not)
    return found


def _money(world: World, options: pl.DataFrame, returned: Floats) -> list[pl.Series]:
    """True cost and profit of each option, in expectation over what cannot be known of the user."""
    by_id = world.catalogue.by_id
    ids = options["strategy_id"].to_list()
    touches = np.asarray([by_id[one].dose.max_touches for one in ids])
    offers = np.asarray(
        [by_id[one].offer.cost * by_id[one].offer.redeem_share * world.truth.redeem_factor[one] for one in ids]
    )
    prices = np.asarray([world.rules.channels[name].cost for name in options["channel"]])
    cost = touches * prices + offers * returned
    worth = options["value_if_returned"].to_numpy() * MARGIN_SHARE
    harm = (1 - (1 - options["true_harm"].to_numpy()) ** touches) * worth * REACH_WORTH_SHARE
    uplift = returned - options["p_told"].to_numpy()
    return [pl.Series("true_cost", cost), pl.Series("true_profit", uplift * worth - cost - harm)]


def _mean_sigma(odds: Floats, sd: float) -> Floats:
    """E σ(odds + noise), the noise normal."""
    found = np.zeros(len(odds))
    for node, weight in zip(NODES, NODE_WEIGHTS / NODE_WEIGHTS.sum(), strict=True):
        found += weight * _sigma(odds + sd * node)
    return found


def _reasons(rng: np.random.Generator, truth: Truth, n_users: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """(true reason, its calibrated chances) per user: every reason's evidence is noise, the true one's stands out."""
    n = len(truth.reason_shares)
    reason = rng.choice(n, n_users, p=truth.reason_shares)
    evidence = rng.standard_normal((n_users, n)) + EVIDENCE * (np.arange(n)[None, :] == reason[:, None])
    weighed = truth.reason_shares * np.exp(EVIDENCE * evidence)
    return reason, weighed / weighed.sum(axis=1, keepdims=True)


def _contact_points(open_on: dict[str, npt.NDArray[np.bool_]]) -> pl.DataFrame:
    frames = [
        pl.DataFrame(
            {
                "user_sk": np.arange(len(is_open)),
                "channel": [name] * len(is_open),
                "rule_id": [None if one else "consent.missing" for one in is_open],
            },
            schema={"user_sk": pl.Int64, "channel": pl.String, "rule_id": pl.String},
        )
        for name, is_open in open_on.items()
    ]
    unknown = {"consent_basis": pl.String, "citation": pl.String, "until": pl.Date, "code": pl.String}
    return pl.concat(frames).with_columns(
        pl.lit("ok").alias("reach"),
        *(pl.lit(None, dtype=kind).alias(name) for name, kind in unknown.items()),
        *(pl.lit(None, dtype=pl.Int32).alias(name) for name in ("quiet_start", "quiet_end")),
    )


def _sigma(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def _logit(p: Floats) -> Floats:
    return np.asarray(np.log(p / (1 - p)))

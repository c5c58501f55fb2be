"""Who lives in a simulated world: profiles, habits and the channels that reach them. Not what they do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.simulate.clock import dates, local_times, utc_from_local
from dagster_project.simulate.spec import CHANNELS, WorldSpec
from dagster_project.simulate.tables import conform, named, numbered, user_ids

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Country:
    """Where a user lives; `berlin_offset_hours` is winter time against the business's own zone."""

    share: float
    timezone: str
    locale: str
    berlin_offset_hours: int
    regions: tuple[str, ...]


COUNTRIES: Mapping[str, Country] = {
    "DE": Country(0.34, "Europe/Berlin", "de-DE", 0, ("Bayern", "Berlin", "Hamburg", "Sachsen")),
    "FR": Country(0.14, "Europe/Paris", "fr-FR", 0, ("Bretagne", "Occitanie", "Normandie")),
    "GB": Country(0.15, "Europe/London", "en-GB", -1, ("England", "Scotland", "Wales")),
    "US": Country(0.14, "America/New_York", "en-US", -6, ("New York", "Ohio", "Florida")),
    "CN": Country(0.15, "Asia/Shanghai", "zh-CN", 7, ("Guangdong", "Shanghai", "Sichuan")),
    "PL": Country(0.05, "Europe/Warsaw", "pl-PL", 0, ("Mazowieckie", "Pomorskie")),
    "JP": Country(0.03, "Asia/Tokyo", "ja-JP", 8, ("Kanto", "Kansai")),
}
COUNTRY_CODES = tuple(COUNTRIES)
CN = COUNTRY_CODES.index("CN")
GENDERS = ("female", "male", "other")
OCCUPATIONS = ("employee", "student", "self_employed", "retired", "homemaker", "public_service")
ACQUISITION_CHANNELS = ("organic", "search_ads", "social_ads", "referral", "app_store", "partner")
CATEGORIES = ("beauty", "books", "electronics", "fashion", "garden", "kitchen", "sports", "toys")
PUSH, EMAIL, SMS, WECHAT = range(len(CHANNELS))
WEB = 2


@dataclass(frozen=True)
class People:
    """One entry per user in every array; `has_channel` is users × CHANNELS.

    `gap_log_mean` and `gap_log_sd` describe the natural log of days between two active days at the start;
    `decay` is the daily rate at which interest fades and gaps grow. Categorical arrays hold positions.
    """

    country: Ints
    region: Ints
    gender: Ints
    occupation: Ints
    acquisition: Ints
    birth_ordinal: Ints
    signup_day: Ints
    signup_second: Ints
    is_prospect: Flags
    platform: Ints
    update_lag_days: Ints
    is_stuck: Flags
    interest: Floats
    decay: Floats
    gap_log_mean: Floats
    gap_log_sd: Floats
    purchase_probability: Floats
    basket_log_mean: Floats
    taste: Ints
    peak_second: Ints
    has_channel: Flags
    main_channel: Ints
    is_subscriber: Flags
    person: Ints


def draw_people(spec: WorldSpec, rng: np.random.Generator) -> People:
    """Return users with profile, habit and channels, drawn independently of one another."""
    n = spec.n_users
    country = rng.choice(len(COUNTRIES), size=n, p=_shares([c.share for c in COUNTRIES.values()]))
    platform = rng.choice(3, size=n, p=[0.36, 0.42, 0.22])
    signup_day = _signup_days(spec, rng)
    interest = rng.beta(5, 2, size=n)
    has_channel = _channels(platform, country, rng)
    peak_second = _peak_seconds(country, rng)
    regions = np.asarray([len(c.regions) for c in COUNTRIES.values()])
    # Keen users come more often: interest moves the usual gap, the rest is the user's own way.
    gap_log_mean = np.log(spec.usual_gap_days) + rng.normal(0, spec.gap_log_sd_between, n) - (interest - 0.7)
    return People(
        country=country,
        region=(rng.random(n) * regions[country]).astype(np.int64),
        gender=_blanked(rng.choice(3, size=n, p=[0.5, 0.47, 0.03]), share=0.2, rng=rng),
        occupation=_blanked(rng.choice(6, size=n, p=[0.45, 0.2, 0.1, 0.1, 0.05, 0.1]), share=0.35, rng=rng),
        acquisition=rng.choice(6, size=n, p=[0.3, 0.2, 0.2, 0.12, 0.13, 0.05]),
        birth_ordinal=_births(spec, rng),
        signup_day=signup_day,
        signup_second=np.clip(peak_second + rng.normal(0, 5400, n).astype(np.int64), 0, 80_000),
        is_prospect=rng.random(n) < spec.prospect_share,
        platform=platform,
        update_lag_days=rng.exponential(8, size=n).astype(np.int64),
        is_stuck=(rng.random(n) < spec.stuck_version_share) & (platform != WEB),
        interest=interest,
        decay=rng.gamma(1.0, 0.0008, size=n),
        gap_log_mean=np.clip(gap_log_mean, 0.0, np.log(60)),
        gap_log_sd=np.clip(spec.gap_log_sd_within * np.exp(rng.normal(0, 0.25, n)), 0.2, 1.2),
        purchase_probability=rng.beta(1.6, 6, size=n),
        basket_log_mean=rng.normal(3.0, 0.5, size=n),
        taste=rng.integers(0, len(CATEGORIES), size=n),
        peak_second=peak_second,
        has_channel=has_channel,
        main_channel=_main_channels(has_channel),
        is_subscriber=rng.random(n) < 0.25,
        person=np.arange(n, dtype=np.int64),
    )


def users_table(people: People, *, spec: WorldSpec, has_person_key: Flags) -> pl.DataFrame:
    """Return the canonical `users`: profiles with the gaps that profiles have."""
    n = people.country.size
    countries = tuple(COUNTRIES.values())
    regions = tuple(region for c in countries for region in c.regions)
    first_region = np.cumsum([0, *(len(c.regions) for c in countries[:-1])])
    person_keys = numbered(people.person, prefix="p", n_digits=7)
    signed_up = local_times(people.signup_day, second=people.signup_second, first_on=spec.first_on)
    epoch_births = people.birth_ordinal - date(1970, 1, 1).toordinal()
    frame = pl.DataFrame(
        {
            "user_id": user_ids(np.arange(n)),
            "signed_up_at": signed_up,
            "birth_on": pl.Series(epoch_births, dtype=pl.Int32).cast(pl.Date),
            "is_birth_known": people.birth_ordinal > 0,
            "gender": named(people.gender, GENDERS),
            "country": named(people.country, COUNTRY_CODES),
            "region": named(first_region[people.country] + people.region, regions),
            "timezone": named(people.country, tuple(c.timezone for c in countries)),
            "locale": named(people.country, tuple(c.locale for c in countries)),
            "occupation": named(people.occupation, OCCUPATIONS),
            "acquisition_channel": named(people.acquisition, ACQUISITION_CHANNELS),
            "person_key": person_keys,
            "has_person_key": has_person_key,
        }
    ).with_columns(
        utc_from_local(pl.col("signed_up_at"), timezone=spec.business_timezone),
        pl.when("is_birth_known").then("birth_on"),
        pl.when("has_person_key").then("person_key"),
    )
    return conform(frame, table="users")


def draw_links(people: People, *, spec: WorldSpec, rng: np.random.Generator) -> pl.DataFrame:
    """Return the canonical `links`: friends in both directions, and who was referred by whom."""
    n = people.country.size
    n_pairs = int(0.35 * n) if n > 1 else 0
    left = rng.integers(0, n, size=n_pairs)
    right = (left + rng.integers(1, max(n, 2), size=n_pairs)) % n
    referred = np.flatnonzero((people.acquisition == ACQUISITION_CHANNELS.index("referral")) & (n > 1))
    referrer = (referred + rng.integers(1, max(n, 2), size=referred.size)) % n
    earlier = people.signup_day[referrer] <= people.signup_day[referred]
    referred, referrer = referred[earlier], referrer[earlier]
    user = np.concatenate([left, right, referred])
    other = np.concatenate([right, left, referrer])
    kind = np.repeat([0, 0, 1], [left.size, right.size, referred.size])
    # A tie begins, at the earliest, when the later of the two is here.
    since = np.maximum(people.signup_day[user], people.signup_day[other])
    frame = pl.DataFrame(
        {
            "user_id": user_ids(user),
            "other_user_id": user_ids(other),
            "kind": named(kind, ("friend", "referral")),
            "since": dates(since, first_on=spec.first_on),
        }
    )
    order = ["user_id", "other_user_id", "kind"]
    return conform(frame.unique(order, keep="first", maintain_order=True).sort(order), table="links")


def _shares(weights: list[float]) -> Floats:
    array = np.asarray(weights, dtype=np.float64)
    normal: Floats = array / array.sum()
    return normal


def _signup_days(spec: WorldSpec, rng: np.random.Generator) -> Ints:
    # A launch crowd in the first two months, then a steady stream up to the last week.
    launch = rng.random(spec.n_users) < 0.35
    early = rng.random(spec.n_users) * min(60, spec.n_days - 7)
    steady = rng.random(spec.n_users) * (spec.n_days - 7)
    return np.where(launch, early, steady).astype(np.int64)


def _births(spec: WorldSpec, rng: np.random.Generator) -> Ints:
    age_days = (18 + np.clip(rng.gamma(4.0, 5.0, spec.n_users), 0, 70)) * 365.25
    ordinal = (spec.first_on.toordinal() - age_days).astype(np.int64)
    return _blanked(ordinal, share=0.25, rng=rng)


def _blanked(values: Ints, *, share: float, rng: np.random.Generator) -> Ints:
    return np.where(rng.random(values.size) < share, -1, values).astype(np.int64)


def _peak_seconds(country: Ints, rng: np.random.Generator) -> Ints:
    habit = rng.choice(3, size=country.size, p=[0.5, 0.3, 0.2])
    hour = np.asarray([20.0, 12.5, 7.5])[habit] + rng.normal(0, 1.2, country.size)
    offset = np.asarray([c.berlin_offset_hours for c in COUNTRIES.values()])[country]
    seconds: Ints = ((hour - offset) * 3600).astype(np.int64) % 86_400
    return seconds


def _channels(platform: Ints, country: Ints, rng: np.random.Generator) -> Flags:
    chance = np.empty((platform.size, len(CHANNELS)))
    chance[:, PUSH] = np.where(platform == WEB, 0.0, 0.8)
    chance[:, EMAIL] = np.where(country == CN, 0.5, 0.88)
    chance[:, SMS] = 0.25
    chance[:, WECHAT] = np.where(country == CN, 0.75, 0.0)
    owned = rng.random(chance.shape) < chance
    owned[~owned.any(axis=1), EMAIL] = True
    return owned


def _main_channels(has_channel: Flags) -> Ints:
    preference = np.asarray([PUSH, WECHAT, EMAIL, SMS])
    main: Ints = preference[np.argmax(has_channel[:, preference], axis=1)]
    return main

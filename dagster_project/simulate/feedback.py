"""What users say: scores, tickets, refunds, exit surveys. Honest where it exists, and mostly it does not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from dagster_project.simulate.activity import Habits, Lives
from dagster_project.simulate.clock import local_times, utc_from_local
from dagster_project.simulate.people import CN, Floats, Ints
from dagster_project.simulate.reasons import reason_code
from dagster_project.simulate.tables import conform, named, user_ids

KINDS = ("nps", "csat", "ticket", "refund", "exit_survey", "complaint", "deletion_request")
TOPICS = (
    "price", "service", "privacy", "content", "goal_reached", "competitor", "life_change", "stop", "payment",
    "frequency",
)  # fmt: skip
TEXTS = (
    "It costs too much now.", "It did not work when I needed it.", "I do not want my data kept.",
    "Nothing here is for me.", "I have what I came for.", "I use another service.", "I have moved away.",
    "Please close my account.", "My card was refused.", "You write too often.",
)  # fmt: skip
TEXTS_ZH = (
    "现在太贵了。", "需要的时候用不了。", "我不想留下个人数据。", "没有我想看的内容。", "我的目的已经达到。",
    "我换了别的服务。", "我搬家了。", "请注销我的账号。", "银行卡付款失败。", "消息太多了。",
)  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """One kind of feedback that leavers of a reason give, with its chance and how long after leaving."""

    kind: str
    topic: str
    chance: float
    after_days: tuple[int, int]


VOICES: Mapping[str, tuple[Voice, ...]] = {
    "price_or_plan": (
        Voice("exit_survey", "price", 0.6, (0, 6)),
        Voice("refund", "price", 0.5, (-4, 1)),
        Voice("complaint", "price", 0.3, (-6, 0)),
    ),
    "service_failure": (
        Voice("ticket", "service", 0.75, (-4, 0)),
        Voice("complaint", "service", 0.4, (-3, 2)),
        Voice("refund", "service", 0.3, (0, 5)),
    ),
    "privacy_concern": (
        Voice("deletion_request", "privacy", 0.6, (0, 3)),
        Voice("complaint", "privacy", 0.6, (-5, 1)),
    ),
    "content_irrelevant": (Voice("exit_survey", "content", 0.5, (0, 6)),),
    "goal_completed_or_seasonal": (Voice("exit_survey", "goal_reached", 0.75, (0, 8)),),
    "explicit_stop": (Voice("exit_survey", "stop", 0.95, (0, 2)),),
    "payment_failure": (Voice("ticket", "payment", 0.35, (0, 4)),),
    "message_fatigue": (Voice("complaint", "frequency", 0.25, (-5, 1)),),
}
# Competitor and life change share a reason and differ in what is said.
LIFE_VOICES = (
    Voice("exit_survey", "competitor", 0.45, (0, 8)),
    Voice("exit_survey", "life_change", 0.4, (0, 8)),
)
# Reasons that are known by what is said, and by nothing else but (price) the end of a contract.
TOPICS_OF_REASONS: Mapping[str, tuple[str, ...]] = {
    "price_or_plan": ("price",),
    "goal_completed_or_seasonal": ("goal_reached",),
    "competitor_or_life_change": ("competitor", "life_change"),
}


@dataclass(frozen=True)
class Said:
    """One entry per piece of feedback; topic -1: none, score NaN: none."""

    user: Ints
    day: Ints
    kind: Ints
    topic: Ints
    score: Floats


def draw_feedback(lives: Lives, *, habits: Habits, rng: np.random.Generator) -> pl.DataFrame:
    """Return the canonical `feedback`: leavers' voices, everybody's scores, and noise that means nothing."""
    parts = [
        _leavers(lives, reason, voice, habits=habits, rng=rng)
        for reason, voices in {**VOICES, "competitor_or_life_change": LIFE_VOICES}.items()
        for voice in voices
    ]
    parts += [_scores(lives, habits=habits, rng=rng), _noise(lives, rng=rng)]
    said = Said(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))
    seen = (said.day >= habits.people.signup_day[said.user]) & (said.day < habits.spec.n_days)
    return _table(Said(*(values[seen] for values in vars(said).values())), habits=habits, rng=rng)


def _leavers(lives: Lives, reason: str, voice: Voice, *, habits: Habits, rng: np.random.Generator) -> Said:
    leaving = habits.leaving
    speaks = (leaving.reason == reason_code(reason)) & leaving.has_evidence
    speaks &= (lives.first_left_day < habits.spec.n_days) & (rng.random(speaks.size) < voice.chance)
    user = np.flatnonzero(speaks)
    low, high = voice.after_days
    day = lives.first_left_day[user] + rng.integers(low, high + 1, user.size)
    return Said(
        user=user,
        day=day,
        kind=np.full(user.size, KINDS.index(voice.kind)),
        topic=np.full(user.size, TOPICS.index(voice.topic)),
        score=np.full(user.size, np.nan),
    )


def _scores(lives: Lives, *, habits: Habits, rng: np.random.Generator) -> Said:
    """NPS (0 to 10) or satisfaction (1 to 5), asked on an active day: lower shortly before a bad end."""
    users, days = lives.active()
    asked = rng.random(users.size) < 0.02
    user, day = users[asked], days[asked]
    unhappy = np.isin(
        habits.leaving.reason[user],
        [reason_code(name) for name in ("service_failure", "price_or_plan", "content_irrelevant", "value_decay")],
    )
    unhappy &= habits.leaving.has_evidence[user] & (day > lives.first_left_day[user] - 40)
    is_nps = rng.random(user.size) < 0.5
    mood = np.clip(rng.normal(np.where(unhappy, 0.3, 0.55 + 0.3 * habits.people.interest[user]), 0.18), 0, 1)
    score = np.where(is_nps, np.round(10 * mood), np.round(1 + 4 * mood))
    return Said(user, day, np.where(is_nps, 0, 1), np.full(user.size, -1), score)


def _noise(lives: Lives, *, rng: np.random.Generator) -> Said:
    """Tickets and refunds of people who do not leave for them."""
    users, days = lives.active()
    some = rng.random(users.size) < 0.004
    user, day = users[some], days[some]
    kind = rng.choice([KINDS.index("ticket"), KINDS.index("refund")], size=user.size, p=[0.7, 0.3])
    topic = rng.choice([TOPICS.index("service"), TOPICS.index("payment"), -1], size=user.size)
    return Said(user, day, kind, topic, np.full(user.size, np.nan))


def _table(said: Said, *, habits: Habits, rng: np.random.Generator) -> pl.DataFrame:
    spec = habits.spec
    second = rng.integers(30_000, 84_000, said.user.size)
    chinese = habits.people.country[said.user] == CN
    text = np.where((said.topic >= 0) & chinese, said.topic + len(TEXTS), said.topic)
    frame = pl.DataFrame(
        {
            "user_id": user_ids(said.user),
            "occurred_at": local_times(said.day, second=second, first_on=spec.first_on),
            "kind": named(said.kind, KINDS),
            "score": pl.Series(said.score, nan_to_null=True),
            "category": named(said.topic, TOPICS),
            "text": named(text, (*TEXTS, *TEXTS_ZH)),
        }
    ).with_columns(utc_from_local(pl.col("occurred_at"), timezone=spec.business_timezone))
    return conform(frame.sort("occurred_at", "user_id", "kind", "category"), table="feedback")

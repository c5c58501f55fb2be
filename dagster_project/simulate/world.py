"""One simulated world from its parameters: the order in which its parts are drawn."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagster_project.simulate.activity import Habits, advance, begin_lives
from dagster_project.simulate.campaign import assignments_table, campaign_truth, run_campaign
from dagster_project.simulate.clock import BusyClock
from dagster_project.simulate.contracts import draw_consents, draw_subscriptions
from dagster_project.simulate.events import draw_happenings, events_table, lost_to_outages
from dagster_project.simulate.feedback import draw_feedback
from dagster_project.simulate.leaving import draw_leaving
from dagster_project.simulate.messages import draw_messages
from dagster_project.simulate.people import Flags, draw_links, draw_people, users_table
from dagster_project.simulate.spec import SIMULATED_NOTICE, WorldSpec
from dagster_project.simulate.truth import endpoints_truth, outages_truth, users_truth


@dataclass(frozen=True)
class World:
    """A company's data, `tables` by canonical name, and what is true of it, `truth`, kept apart.

    All `_at` columns are naive UTC; days of the business are days in `spec.business_timezone`.
    """

    spec: WorldSpec
    tables: dict[str, pl.DataFrame]
    truth: dict[str, pl.DataFrame]
    notice: str = SIMULATED_NOTICE


def simulate_world(spec: WorldSpec) -> World:
    """Return the world of these parameters; the same parameters give the same world, value for value.

    Memory and time grow with the number of users and of their active days.
    """
    # A stream of chance for each part, so that a change in one leaves the others as they were.
    (
        people_rng, leaving_rng, lives_rng, campaign_rng, contract_rng, event_rng, message_rng, say_rng,
        link_rng, consent_rng, machine_rng,
    ) = (np.random.default_rng(s) for s in np.random.SeedSequence(spec.seed).spawn(11))  # fmt: skip
    people, leaving = draw_leaving(draw_people(spec, people_rng), spec=spec, rng=leaving_rng)
    clock = BusyClock(first_on=spec.first_on, n_days=spec.n_days, amplitude=spec.seasonal_amplitude)
    habits = Habits(people=people, leaving=leaving, spec=spec, clock=clock)
    lives = begin_lives(people, leaving=leaving)
    advance(lives, habits=habits, until_day=min(spec.campaign_day + 1, spec.n_days), rng=lives_rng)
    campaign = run_campaign(lives, habits=habits, rng=campaign_rng)
    advance(lives, habits=habits, until_day=spec.n_days, rng=lives_rng)
    subscriptions, renewals = draw_subscriptions(lives, habits=habits, rng=contract_rng)
    happenings = draw_happenings(lives, habits=habits, renewals=renewals, rng=event_rng)
    lost = lost_to_outages(happenings, people=people, spec=spec)
    effects, campaign_users = campaign_truth(campaign)
    tables = {
        "events": events_table(happenings.where(~lost), people=people, spec=spec),
        "users": users_table(people, spec=spec, has_person_key=_has_person_key(habits, people_rng)),
        "subscriptions": subscriptions,
        "message_events": draw_messages(
            lives, habits=habits, campaign=campaign, rng=message_rng, machine_rng=machine_rng
        ),
        "consents": draw_consents(habits=habits, rng=consent_rng),
        "feedback": draw_feedback(lives, habits=habits, rng=say_rng),
        "links": draw_links(people, spec=spec, rng=link_rng),
        "assignments": assignments_table(campaign, spec=spec),
    }
    truth = {
        "users": users_truth(lives, habits=habits, recorded=(happenings, lost), tables=tables),
        "endpoints": endpoints_truth(lives, habits=habits),
        "outages": outages_truth(spec),
        "campaign": effects,
        "campaign_users": campaign_users,
    }
    return World(spec=spec, tables=tables, truth=truth)


def _has_person_key(habits: Habits, rng: np.random.Generator) -> Flags:
    """Return who has a person key: most; those who switched identity exactly where their trace is kept."""
    leaving = habits.leaving
    known = rng.random(leaving.reason.size) < 0.7
    successor = np.flatnonzero(leaving.successor_of >= 0)
    switched = leaving.successor_of[successor]
    known[successor] = leaving.has_evidence[switched]
    known[switched] = leaving.has_evidence[switched]
    return known

"""A company's data drawn from a seed, with the truth kept apart. Simulated: no real person or company.

How the world works
- Interest. Every user joins with an interest that fades at their own rate, and comes back at their own gaps
  (log-normal; longer as interest fades, shorter in the busy season and towards the weekend). On an active day
  they open the app, look at items that mostly match their taste, and sometimes buy.
- Leaving. Most users leave once, for one of the reasons in `reasons`, on a day drawn for that reason: early
  (never_activated), after the price or service shock, with the death of the endpoint that reminded them
  (delivery_dead), or at a random time. Away, they come back unaided at a hazard of the reason times their own
  frailty, or with the next season, and may relapse.
- Evidence. A reason leaves its usual trace for `evidence_share` of its leavers: refusals by the provider,
  opt-outs, ended contracts, tickets, surveys, a second account. The others leave in silence, and people who
  stay make noise that looks like evidence.
- Faults. Outages lose events of a platform or version (these users never left: measurement_gap), a provider
  refuses messages for days, and a purge kills push tokens, which the next session renews.
- Contact. Each user has a change of log-odds of a return for each strategy. One past randomised campaign used
  it: both potential outcomes of everybody in it are known. Routine messages are sent, opened and refused, but
  bring nobody back by themselves.

The truth never enters `tables`; `write_world` puts it in a folder that the settings do not name.
"""

from dagster_project.simulate.reasons import REASONS, STRATEGIES
from dagster_project.simulate.spec import SIMULATED_NOTICE, Outage, WorldSpec
from dagster_project.simulate.tables import TABLE_SCHEMAS
from dagster_project.simulate.world import World, simulate_world
from dagster_project.simulate.write import write_world

__all__ = [
    "REASONS",
    "SIMULATED_NOTICE",
    "STRATEGIES",
    "TABLE_SCHEMAS",
    "Outage",
    "World",
    "WorldSpec",
    "simulate_world",
    "write_world",
]

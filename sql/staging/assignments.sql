-- One row per user and experiment: the arm that randomisation gave in a past campaign.
--
-- grain:      user_sk, experiment_id
-- partition:  whole
-- tests:      not_null user_sk, experiment_id, arm, assigned_at; unique user_sk, experiment_id
-- columns:
--   user_sk: the user's key inside the store
--   experiment_id: the experiment
--   arm: treat, control, ..., in the source's words
--   assigned_at (UTC): when the arm was drawn
--   propensity (0 to 1): chance of that arm
--   strategy_id: what the arm got
--   channel: on which channel
--   attributes (JSON): every further column that the settings name
--   dt (date): day of the draw in the business zone
--
-- Randomisation gives one arm: of several rows the earliest stands.

with arrived as (
    select * from ingest.assignments
)

select
    user_sk,
    experiment_id,
    arm,
    assigned_at,
    propensity,
    strategy_id,
    channel,
    attributes,
    dt
from arrived
qualify row_number() over (partition by user_sk, experiment_id order by assigned_at, row_hash, delivery) = 1

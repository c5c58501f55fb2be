-- One row per user, experiment and arm: what randomisation gave in a past campaign.
--
-- grain:      user_sk, experiment_id, arm
-- partition:  whole
-- tests:      not_null user_sk, experiment_id, arm, assigned_at; unique user_sk, experiment_id, arm
-- columns:
--   user_sk: the user's key inside the store
--   experiment_id: the experiment
--   arm: treat, control, ..., in the source's words
--   assigned_at (UTC): when the arm was drawn
--   propensity (0 to 1): chance of that arm
--   strategy_id: what the arm got
--   channel: on which channel, in small letters
--   attributes (JSON): every further column that the settings name
--   dt (date): day of the draw in the business zone
--
-- Of several rows of one arm the earliest stands. Randomisation gives one arm: a second one is kept, so that the
-- readout can call the experiment broken.

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
    lower(channel) as channel,
    attributes,
    dt
from arrived
qualify row_number() over (partition by user_sk, experiment_id, arm order by assigned_at, row_hash, delivery) = 1

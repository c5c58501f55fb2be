-- One row per user and day of signing up: who they are, as last delivered.
--
-- grain:      user_sk, dt
-- partition:  whole
-- tests:      not_null user_sk, delivery
-- columns:
--   user_sk: the user's key inside the store
--   signed_up_at (UTC): when the account was opened
--   birth_on (date): birthday
--   gender: as the source names it
--   country: ISO 3166 code, as the source has it
--   region: part of the country
--   timezone: IANA zone of the user
--   locale: language and region
--   occupation: as the source names it
--   acquisition_channel: how the user came
--   person_key: equal for the accounts of one person
--   attributes (JSON): every further column that the settings name
--   delivery: number of the delivery; the higher is the newer
--   dt (date): day of signing up in the business zone; null if not known
--
-- A profile has no history: the newest delivery wins, and an earlier night replays with today's profile. A row
-- dated after a night is not there yet for that night, which then takes the newest of those that are; a row without
-- a date always is there.

with arrived as (
    select * from ingest.users
)

select
    user_sk,
    signed_up_at,
    birth_on,
    gender,
    country,
    region,
    timezone,
    locale,
    occupation,
    acquisition_channel,
    person_key,
    attributes,
    delivery,
    dt
from arrived
qualify row_number() over (partition by user_sk, dt order by delivery desc, row_hash asc) = 1

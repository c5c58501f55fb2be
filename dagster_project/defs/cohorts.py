"""The lists: whom to contact in which order, and every user with what was decided."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from dagster_project.cohorts.decisions import decision_records
from dagster_project.cohorts.ranking import every_user, rank_cohorts
from dagster_project.cohorts.tables import AWAITING_CONTACTS, CONTACTS, DECISIONS, EXPLANATIONS, USERS
from dagster_project.defs.frame_tables import frame_asset, frame_assets
from dagster_project.defs.proof import proof_check
from dagster_project.lake.table_doc import Documented
from dagster_project.lifecycle.tables import STAGES
from dagster_project.models.contracts.tables import SCORES as CONTRACT_SCORES
from dagster_project.models.explanations import EXPLANATION_SCHEMA, explain_scores
from dagster_project.models.features import sample_rows, usable_features
from dagster_project.models.keeping import load_model
from dagster_project.models.shipping import Learned
from dagster_project.models.snapshots import with_lapse
from dagster_project.models.tables import SCORES, VERDICTS
from dagster_project.models.wording import in_plain_order, in_words
from dagster_project.project import Project
from dagster_project.reach.tables import CONTACT_POINTS
from dagster_project.reach.trust_tables import TRUST
from dagster_project.reasons.tables import REASONS_TABLE
from dagster_project.reasons.wording import sentences as reason_sentences
from dagster_project.strategy.tables import AWAITING, CONSIDERED, EXPORTED, GATED, HOLDOUT

REFERENCE_ROWS = 20_000  # enough to tell what is typical; more only cost time


def make_explanations(project: Project, as_of: date) -> pl.DataFrame:
    """The features that moved each exported user's score, by the night's own model."""
    key = project.read("models.verdicts", as_of=as_of)["model_key"][0]
    training = project.read("models.training_snapshots", as_of=as_of)
    reference = sample_rows(training.filter("is_lapsed"), max_rows=REFERENCE_ROWS, seed=project.settings.seed)
    exported = project.read("strategy.exported", as_of=as_of)
    if key is None or reference.is_empty() or exported.is_empty():
        return EXPLANATION_SCHEMA.to_frame()
    learned: Learned = load_model(project.kept_models, key)[0]
    features = with_lapse(
        project.read("marts.user_features", as_of=as_of), project.read("lifecycle.stages", as_of=as_of)
    )
    users = features.filter(pl.col("user_id").is_in(exported["user_id"].implode()))
    return explain_scores(learned.shipped.model, users, reference, columns=in_plain_order(usable_features(reference)))


def make_cohorts(project: Project, as_of: date) -> Mapping[str, pl.DataFrame]:
    """The ranked list and the table of everybody."""
    trust = project.read("reach.trust", as_of=as_of).select("user_sk", "trust_index")
    candidates = project.candidates(as_of).join(trust, on="user_sk", how="left", maintain_order="left")
    exported, awaiting = (project.read(doc.table, as_of=as_of) for doc in (EXPORTED, AWAITING))
    reasons = project.read(REASONS_TABLE.table, as_of=as_of)
    moved_by = in_words(project.read("cohorts.explanations", as_of=as_of))
    contacts, waiting = (
        rank_cohorts(
            rows,
            candidates,
            catalogue=project.catalogue,
            moved_by=moved_by,
            left_for=reason_sentences(reasons),
        )
        for rows in (exported, awaiting)
    )
    users = every_user(
        candidates,
        contacts,
        project.read("strategy.holdout", as_of=as_of),
        project.read("reach.contact_points", as_of=as_of),
        channels=list(project.settings.channels),
    )
    decisions = decision_records(
        project.read(GATED.table, as_of=as_of),
        project.read(CONSIDERED.table, as_of=as_of),
        exported=pl.concat([exported, awaiting]),
        candidates=candidates,
        reasons=reasons,
    )
    return {CONTACTS.table: contacts, AWAITING_CONTACTS.table: waiting, USERS.table: users, DECISIONS.table: decisions}


@dg.definitions
def cohorts() -> dg.Definitions:
    """Every table of the layer."""
    decided = [CONTACT_POINTS, EXPORTED, AWAITING, HOLDOUT, GATED, CONSIDERED]
    reads: list[Documented | str] = ["marts.users", STAGES, SCORES, CONTRACT_SCORES, REASONS_TABLE, *decided]
    explained = frame_asset(
        EXPLANATIONS,
        make_explanations,
        reads=[EXPORTED, STAGES, VERDICTS, "marts.user_features"],
    )
    lists = frame_assets(
        [CONTACTS, AWAITING_CONTACTS, USERS, DECISIONS], make_cohorts, reads=[*reads, TRUST, EXPLANATIONS]
    )
    return dg.Definitions(assets=[explained, lists], asset_checks=[proof_check(CONTACTS)])

"""What the sources would tell of."""

import pytest

from dagster_project.outcomes.measured import measured


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({"events": None}, set()),
        ({"events": None, "consents": None}, {"opted_out"}),
        ({"events": None, "links": None}, {"shared"}),
        ({"events": None, "feedback": None}, {"opted_out", "complained"}),
        ({"events": None, "message_events": None}, {"opened", "clicked", "opted_out", "complained"}),
        ({"events": None, "message_events": ["sent", "opened"]}, {"opened"}),
    ],
)
def test_a_metric_is_measured_where_a_source_would_tell_of_it(sources: dict[str, list[str]], told: set[str]) -> None:
    assert measured(sources) == told

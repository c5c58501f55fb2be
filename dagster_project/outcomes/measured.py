"""Which outcomes the sources of a company would tell of, whether or not any has happened."""

from collections.abc import Collection, Mapping

# What a source needs to name for an outcome to be told; None: the source itself is enough. An app that is removed and a
# share by an event are words among others in events: that none was seen does not say that any would have been.
_BY: Mapping[str, tuple[tuple[str, str | None], ...]] = {
    "opened": (("message_events", "opened"),),
    "clicked": (("message_events", "clicked"),),
    "shared": (("links", None),),
    "opted_out": (("message_events", "unsubscribed"), ("consents", None), ("feedback", None)),
    "complained": (("message_events", "complained"), ("feedback", None)),
}


def measured(sources: Mapping[str, Collection[str] | None]) -> frozenset[str]:
    """Names of the metrics of yes and no of which a nought means that nobody did, rather than that nobody knows.

    `sources`: by canonical table that is there, the kinds of events that its columns stand for; None where any kind
    may be in it.
    """
    return frozenset(
        name
        for name, ways in _BY.items()
        if any(
            table in sources and (event is None or (kinds := sources[table]) is None or event in kinds)
            for table, event in ways
        )
    )

"""A settings object as one short text that changes when, and only when, an output could."""

import hashlib
import json

from dagster_project.settings.model import Settings

# Where files are, how fast and when the night runs: none of it changes what a night says.
# What the files of a source hold is the data hash's business, their paths are nobody's.
_WITHOUT_EFFECT = {"root", "paths", "engine", "schedule"}


def settings_hash(settings: Settings) -> str:
    """Return the sha256 (64 hex digits) of all settings that can change an output, defaults included.

    Left out: the folder of the file, `paths`, `engine`, `schedule` and the `path` of every source.
    """
    content = settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    for source in content["sources"].values():
        if source is not None:
            del source["path"]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()

"""Everything the pipeline raises on purpose. Each error says what was wrong, where, and what to do.

WinbackError
├── SettingsError        winback.toml: unknown key, wrong type, impossible value
├── SourceError          an input file: missing, unreadable, wrong shape
├── DataQualityError     readable input whose content must stop the night
├── LakeError            a table or partition of the store: absent or broken
├── CatalogueError       a strategy file: schema, template, exclusion
├── FailureRulesError    a file of delivery-failure rules: keys, classes, ids
├── PackError            a pack of rules: schema, unknown pack or country
└── SqlModelError        a file of sql/: header, parameter, failed test
"""


class WinbackError(Exception):
    """What was wrong and what to do about it, in one line each.

    `problem` names the culprit (file, key, column, value); `fix` is an instruction.
    """

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(f"{problem}\n  fix: {fix}")
        self.problem = problem
        self.fix = fix


class SettingsError(WinbackError):
    """The settings file does not say what it must."""


class SourceError(WinbackError):
    """An input file is missing, unreadable or of the wrong shape."""


class DataQualityError(WinbackError):
    """The input could be read, but what it holds must stop the night."""


class LakeError(WinbackError):
    """A table or partition of the store is absent or broken."""


class CatalogueError(WinbackError):
    """A strategy file breaks the catalogue's rules."""


class FailureRulesError(WinbackError):
    """A file of delivery-failure rules does not say what it must."""


class PackError(WinbackError):
    """A pack of rules breaks the form, or the settings name one that is not there."""


class SqlModelError(WinbackError):
    """A file of sql/ has a wrong header, an unknown parameter or a failed test."""

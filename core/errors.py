"""Everything that can go wrong in the core, by kind.

ThreadloreError
├── SettingsError              a setting is missing or wrong; names it and the remedy
├── StorageError
│   ├── LeaseLostError         another worker owns this item now: stop, write nothing
│   ├── StorageUnavailableError the database cannot be reached; transient
│   └── EmbeddingMismatchError vectors of different models would be mixed
├── ModelError
│   ├── ModelTransientError    rate limit, overload, cut connection: worth another try
│   │                          (`retry_after_seconds`)
│   └── ModelPermanentError    refused, wrong key, unknown model: another try is useless
│       └── BudgetSpentError   no money is left for the call today; `scope` says whose
├── SearchImpairedError        the embedder fails, and the words alone found nothing
├── SourceError                a document or page cannot be read; `reason` is for people
└── DatasetError               an evaluation data set is not in the format described

Messages of these errors are for logs and operators. People in chat get a notice (core.notices).
"""

from __future__ import annotations


class ThreadloreError(Exception):
    """The root: catch it to catch everything of ours."""


class SettingsError(ThreadloreError):
    """A setting is missing or wrong. `setting` is its name, `remedy` what to do about it."""

    def __init__(self, setting: str, problem: str, remedy: str) -> None:
        super().__init__(f"{setting}: {problem} {remedy}")
        self.setting = setting
        self.problem = problem
        self.remedy = remedy


class StorageError(ThreadloreError):
    """The store could not do what was asked."""


class LeaseLostError(StorageError):
    """The fencing number is no longer ours: another worker has taken over."""


class StorageUnavailableError(StorageError):
    """The database cannot be reached right now."""


class EmbeddingMismatchError(StorageError):
    """Vectors of another model or dimension are stored; names both and the remedy."""


class ModelError(ThreadloreError):
    """A model call did not give a usable result."""


class ModelTransientError(ModelError):
    """Worth another try, after `retry_after_seconds` when the provider named a time."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ModelPermanentError(ModelError):
    """Another try with the same model cannot succeed."""


class BudgetSpentError(ModelPermanentError):
    """No money is left for the call today. `scope` is whose cap refuses it: workspace, channel or person."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"the budget of the {scope} is spent for today")
        self.scope = scope


class SearchImpairedError(ThreadloreError):
    """The embedder fails and the words alone found nothing: whether there is an answer is not known."""


class SourceError(ThreadloreError):
    """A document cannot be read. `reason` is one plain sentence for the `failed` list."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(f"{uri}: {reason}")
        self.uri = uri
        self.reason = reason


class DatasetError(ThreadloreError):
    """A data set is missing a file or a line of it is not as described."""

"""What is kept of an evaluation run: its figures, question by question, with everything that produced them.

One JSON file a run, in a folder: it needs no database, travels as an artefact of a build, and can lie in a repository
as the baseline that later runs are held against.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import ValidationError

from core.errors import DatasetError
from core.evaluation.metrics import Interval, bootstrap_interval, mean
from core.messages import Frozen

RunKind = Literal["retrieval", "rewriting", "answers", "chunking"]
Setting = str | int | float | bool | None


class RunRecord(Frozen):
    """A run. `values` holds each metric by question id, higher is better; `dataset_hash` is the SHA-256 of
    documents, questions and judgements; `prompts` are the ids of the prompts, with their versions."""

    id: str
    kind: RunKind
    name: str | None = None
    at: datetime
    dataset: str
    dataset_hash: str
    split: str | None = None
    version: str
    settings: dict[str, Setting]
    prompts: tuple[str, ...] = ()
    figures: dict[str, float]
    intervals: dict[str, Interval]
    values: dict[str, dict[str, float]]


def make_record(
    kind: RunKind,
    values: Mapping[str, Mapping[str, float]],
    *,
    dataset: str,
    dataset_hash: str,
    version: str,
    settings: Mapping[str, Setting],
    split: str | None = None,
    prompts: tuple[str, ...] = (),
    name: str | None = None,
) -> RunRecord:
    """A record of now; metrics without a value are left out."""
    at = datetime.now(UTC)
    slug = re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-") or "set"
    known = {metric: dict(by_question) for metric, by_question in values.items() if by_question}
    return RunRecord(
        id=f"{at:%Y%m%d-%H%M%S}-{kind}-{slug}-{uuid4().hex[:4]}",
        kind=kind,
        name=name,
        at=at,
        dataset=dataset,
        dataset_hash=dataset_hash,
        split=split,
        version=version,
        settings=dict(settings),
        prompts=prompts,
        figures={metric: mean(list(by_question.values())) for metric, by_question in known.items()},
        intervals={
            metric: bootstrap_interval(list(by_question.values())) for metric, by_question in known.items()
        },
        values=known,
    )


class RunFolder:
    """The runs of an installation. Raises DatasetError, which names the file and the remedy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, record: RunRecord) -> Path:
        """Store the record; a file is there as a whole or not at all."""
        path = self._folder / f"{record.id}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_text(record.model_dump_json(indent=1), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise DatasetError(
                f"{path}: {error.strerror}. Set THREADLORE_HOME to a folder that can be written to."
            ) from error
        return path

    def runs(self) -> list[RunRecord]:
        """All of them, the oldest first."""
        return sorted((_read(path) for path in self._folder.glob("*.json")), key=lambda record: record.at)

    def find(self, reference: str) -> RunRecord:
        """The run with this id, or the beginning of one; the latest one with this name; the one in this file."""
        path = Path(reference)
        if path.suffix == ".json":
            if not path.is_file():
                raise DatasetError(f"{reference}: there is no file of this name.")
            return _read(path)
        runs = self.runs()
        named = [record for record in runs if record.name == reference]
        begun = [record for record in runs if record.id.startswith(reference)]
        if named:
            return named[-1]
        if len(begun) == 1:
            return begun[0]
        problem = "several runs begin" if begun else "no run has this name, and none begins"
        raise DatasetError(f"{reference}: {problem} like this. `threadlore eval runs` lists them.")


def _read(path: Path) -> RunRecord:
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: this is not a stored run. Remove it, or name another one.") from error

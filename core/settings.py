"""The settings of the core. Read once, by the composition root, from the environment or .env.

Each platform and the HTTP edge have settings of their own, read by `read_settings` in the same way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.errors import SettingsError
from core.knowledge.chunking.policy import ChunkingStrategy


class EnvironmentSettings(BaseSettings):
    """Reads names as they stand in the environment, upper case; an empty value counts as not set."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )


S = TypeVar("S", bound=EnvironmentSettings)


def read_settings(kind: type[S]) -> S:
    """Read one group of settings. Raises SettingsError, which names the setting and the remedy."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else kind.__name__
        raise SettingsError(
            field.upper(),
            f"{first['msg']}.",
            (kind.model_fields[field].description or "See the settings table in README.md.")
            if field in kind.model_fields
            else "See the settings table in README.md.",
        ) from error


def split_list(value: object) -> object:
    """`a, b` as a tuple; anything else unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def split_prices(value: object) -> object:
    """`a:b=0.5/2, c:d=1/4` as {"a:b": (0.5, 2), "c:d": (1, 4)}, prices as text; anything else unchanged."""
    if not isinstance(value, str):
        return value
    prices: dict[str, tuple[str, ...]] = {}
    for part in split_list(value):  # type: ignore[attr-defined]
        model, _, price = part.rpartition("=")
        if not all(model.partition(":")) or price.count("/") != 1:
            raise ValueError(f"{part!r} is not provider:model=INPUT/OUTPUT")
        prices[model] = tuple(amount.strip() for amount in price.split("/"))
    return prices


class CoreSettings(EnvironmentSettings):
    """What the core needs; every value has a default that works on a fresh machine."""

    database_url: SecretStr | None = Field(
        default=None,
        description="Use postgresql://user:password@host:5432/name, or leave it out for the embedded Postgres.",
    )
    threadlore_home: Path = Field(
        default=Path(".threadlore"), description="A folder that Threadlore may write to, for its own data."
    )

    chat_model: str | None = Field(
        default=None,
        description="Use provider:model, for example openai:gpt-5-mini; leave it out for the extractive answerer.",
    )
    chat_model_fallbacks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="A comma-separated list of provider:model."
    )
    embedding_model: str | None = Field(
        default=None, description="Use provider:model; leave it out for the local embedder."
    )
    turn_timeout_seconds: float = Field(
        default=90.0, gt=0, le=840, description="A number of seconds between 1 and 840."
    )
    model_silence_seconds: float = Field(
        default=25.0, gt=0, le=840, description="A number of seconds between 1 and 840."
    )
    model_output_tokens: int | None = Field(
        default=None, ge=256, le=200_000, description="A whole number from 256 to 200000."
    )
    model_prices: Annotated[dict[str, tuple[float, float]], NoDecode] = Field(
        default={},
        description="Use provider:model=INPUT/OUTPUT in US dollars per million tokens, comma-separated.",
    )
    budget_usd_per_day: float | None = Field(default=None, gt=0, description="US dollars, for example 5.")
    budget_usd_per_channel_per_day: float | None = Field(
        default=None, gt=0, description="US dollars, for example 2."
    )
    budget_usd_per_person_per_day: float | None = Field(
        default=None, gt=0, description="US dollars, for example 0.50."
    )
    questions_per_person_per_minute: int = Field(
        default=10, ge=0, description="A whole number; 0 for no such limit."
    )
    questions_per_person_per_day: int = Field(
        default=100, ge=0, description="A whole number; 0 for no such limit."
    )
    memory_tokens: int = Field(
        default=2000, ge=100, le=100_000, description="A whole number from 100 to 100000."
    )
    max_question_characters: int = Field(
        default=12_000, ge=100, le=100_000, description="A whole number from 100 to 100000."
    )
    worker_concurrency: int = Field(
        default=256, ge=1, le=2000, description="How many threads one process answers at once, 1 to 2000."
    )
    lease_seconds: float = Field(
        default=30.0, ge=1, le=600, description="A number of seconds between 1 and 600."
    )
    answer_max_age_minutes: float = Field(
        default=60.0, gt=0, description="A number of minutes above 0; 1440 answers what is a day old."
    )

    langfuse_public_key: str | None = Field(default=None, description="The pk-lf-... key of the project.")
    langfuse_secret_key: SecretStr | None = Field(
        default=None, description="The sk-lf-... key of the project."
    )
    langfuse_base_url: str = Field(
        default="https://cloud.langfuse.com", description="The address of your Langfuse, with https://."
    )

    reranker_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="The whole address of a reranker, for example http://localhost:8081/rerank.",
    )
    reranker_class: str | None = Field(
        default=None,
        pattern=r"^[\w.]+:\w+$",
        description="A LangChain cross-encoder as package.module:Class, for example langchain_community.cross_encoders:HuggingFaceCrossEncoder.",
    )
    reranker_model: str | None = Field(
        default=None, description="The name that the reranker knows the model by; its own one without it."
    )
    reranker_api_key: SecretStr | None = Field(
        default=None, description="The key that the reranker asks for, if it does."
    )
    reranker_timeout_seconds: float = Field(
        default=2.0, gt=0, le=60, description="A number of seconds, at most 60."
    )

    knowledge: Annotated[tuple[str, ...], NoDecode] | None = Field(
        default=None,
        description="A comma-separated list of paths, URLs, site+URLs, rss+URLs and git+URLs; leave it out for Threadlore's own documents.",
    )
    chunking: ChunkingStrategy = Field(
        default=ChunkingStrategy.STRUCTURE,
        description="One of structure, recursive, code, conversation, small-to-big.",
    )

    knowledge_sync_minutes: float = Field(
        default=10.0, gt=0, description="How often the documents of KNOWLEDGE are looked through, in minutes."
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="One of DEBUG, INFO, WARNING, ERROR."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="One of json, console, auto (console on a terminal, json elsewhere)."
    )

    @field_validator("chat_model_fallbacks", "knowledge", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_list(value)

    @field_validator("model_prices", mode="before")
    @classmethod
    def _read_prices(cls, value: object) -> object:
        return split_prices(value)

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("chat_model", "embedding_model")
    @classmethod
    def _provider_and_model(cls, value: str | None) -> str | None:
        if value is not None and not all(value.partition(":")):
            raise ValueError(f"{value!r} does not name a provider and a model")
        return value

"""Keys and addresses of model providers, under the providers' own names in the environment or .env."""

from __future__ import annotations

from pydantic import Field, SecretStr

from core.settings import EnvironmentSettings


class ProviderSettings(EnvironmentSettings):
    """Only what we hand over ourselves; other providers' packages read their own variables."""

    openai_api_key: SecretStr | None = Field(
        default=None, description="Make a key at platform.openai.com; a server of your own takes any value."
    )
    openai_base_url: str | None = Field(
        default=None, description="The address of a server that speaks OpenAI's API, ending in /v1."
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None, description="Make a key at console.anthropic.com."
    )
    anthropic_base_url: str | None = Field(
        default=None, description="The address of a server that speaks Anthropic's API, without /v1."
    )
    ollama_host: str | None = Field(
        default=None, description="The address of your Ollama, for example http://localhost:11434."
    )

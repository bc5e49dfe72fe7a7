"""Every setting, read from the environment once and checked before anything starts.

The only module that reads the environment. A wrong value stops the program with the variable's
name.
"""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "MELODYFLOW_"

_NEEDED_TO_RUN = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG")


class InvalidSetting(ValueError):
    """A setting has a value that cannot be used; the message names the variable."""


def _either(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    """Settings of one process. Defaults run everything on one machine with nothing installed."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )

    data_dir: Path = Field(
        Path("data"),
        description="Where the embedded broker, database, artifacts and logs live.",
    )
    host: str = Field("127.0.0.1", description="Address the web process listens on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8002, description="Port; 0 picks a free one."
    )
    second_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="A second port with the same answers, such as the plugins' fixed 8000."
    )
    keys: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether callers need an API key; auto asks for one beyond this machine.",
    )
    api_key: str | None = Field(
        None, repr=False, description="The key that commands send to a server that asks for one."
    )
    requests_per_minute: Annotated[int, Field(ge=1)] = Field(
        600, description="Requests of one key within a minute, where the key does not say."
    )
    jobs_per_minute: Annotated[int, Field(ge=1)] = Field(
        60, description="Jobs that one key may submit within a minute."
    )
    redis_url: str | None = Field(
        None,
        validation_alias=_either("redis_url", "MELODYFLOW_REDIS_URL", "REDIS_URL"),
        description="Broker; unset starts the embedded Valkey.",
    )
    database_url: str | None = Field(
        None,
        validation_alias=_either("database_url", "MELODYFLOW_DATABASE_URL", "DATABASE_URL"),
        description="SQLAlchemy URL of the record; unset is SQLite under the data directory.",
    )
    artifacts_url: str | None = Field(
        None,
        description="Where audio is kept: s3://bucket/prefix, or unset for the data directory.",
    )
    async_mode: Literal["threading", "eventlet"] = Field(
        "threading", description="How Socket.IO runs."
    )
    web_threads: Annotated[int, Field(ge=80)] = Field(
        512, description="Threads of the web process."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",), description="Origins that may call from a browser, separated by commas."
    )
    max_body_megabytes: Annotated[int, Field(ge=1, le=1024)] = Field(
        128, description="Largest request body."
    )
    max_source_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        300.0, description="Longest audio a job takes."
    )
    max_waiting_jobs: Annotated[int, Field(ge=1)] = Field(
        64,
        description="Jobs that may wait before more are refused; a key's first is always taken.",
    )
    jobs_at_once: Annotated[int, Field(ge=1)] = Field(
        1, description="Jobs of one key that run at the same time, where the key does not say."
    )
    job_timeout_seconds: Annotated[int, Field(ge=1)] = Field(
        600, description="Longest a job may run."
    )
    stuck_seconds: Annotated[float, Field(ge=0.5)] = Field(
        30.0,
        description="How deaf a job may be beyond its deadline before its worker process is ended.",
    )
    transform_wait_seconds: Annotated[float, Field(gt=0)] = Field(
        290.0, description="How long a synchronous /transform waits for its result."
    )
    lease_seconds: Annotated[float, Field(ge=1)] = Field(
        10.0,
        description="A running job whose worker was silent this long is started again.",
    )
    max_attempts: Annotated[int, Field(ge=1)] = Field(
        3, description="Starts of a job before it fails."
    )
    results_hours: Annotated[float, Field(ge=1)] = Field(
        24.0, description="How long results are kept."
    )
    records_days: Annotated[float, Field(ge=1)] = Field(
        90.0, description="How long is known what a job did, and how to do it again."
    )
    low_disk_megabytes: Annotated[int, Field(ge=0)] = Field(
        512, description="With less room than this for its data, /health says degraded."
    )
    webhook_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts that webhooks may name although they are not public, by commas."
    )
    audio_transfer_dir: Path | None = Field(
        None,
        description="The only directory audio_file_path may name files in; unset refuses it.",
    )
    sound_bank: Path | None = Field(
        None, description="SF2 or SF3 file for the arranger; unset looks for one."
    )
    transcription_model: Path | None = Field(
        None,
        description="ONNX file of the transcription network; unset looks for the installed one.",
    )
    presets_dir: Path | None = Field(
        None,
        description="Folder of your own presets, *.toml; unset is presets in the data directory.",
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = Field(
        "auto",
        description="Where the networks run: cuda, cuda:1, cpu (slow), or auto: a free card.",
    )
    models_dir: Path | None = Field(
        None, description="Where models pull keeps weights; unset is models in the data directory."
    )
    melodyflow_model: str = Field(
        "facebook/melodyflow-t24-30secs",
        description="Weights that melodyflow plays with: a name of models list, or a directory.",
    )
    musicgen_model: str = Field(
        "facebook/musicgen-small",
        description="Weights that musicgen plays with where a job names none; as above.",
    )
    musicgen_finetunes: Annotated[tuple[str, ...], NoDecode] = Field(
        ("thepatch/vanya_ai_dnb_0.1",),
        description="Finetunes of MusicGen that callers may have fetched too, by commas.",
    )
    inversion_cache_megabytes: Annotated[int, Field(ge=0)] = Field(
        64, description="Inversions kept, so that a new prompt on the same clip starts half way."
    )
    engine_idle_seconds: Annotated[float, Field(ge=0)] = Field(
        900.0, description="An engine unused this long is unloaded; 0 keeps it."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="What the terminal shows: sentences, or the lines of the log files."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level logged."
    )
    environment: str = Field("production", description="A name shown by /health.")

    @field_validator("cors_origins", "webhook_hosts", "musicgen_finetunes", mode="before")
    @classmethod
    def _separate(cls, origins: object) -> object:
        if isinstance(origins, str):
            return tuple(part.strip() for part in origins.split(",") if part.strip())
        return origins

    @classmethod
    def from_environment(cls, **changes: Any) -> Self:
        """Read the environment; `changes` win over it.

        Raises:
            InvalidSetting: a variable has a value that cannot be used.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            raise InvalidSetting(_sentence(error)) from error

    def as_environment(self) -> dict[str, str]:
        """Return the environment in which a child process reads these very settings."""
        settings = self.model_dump(mode="json", exclude_none=True)
        return {**os.environ, **{PREFIX + name.upper(): _text(settings[name]) for name in settings}}

    @property
    def asks_for_keys(self) -> bool:
        """Whether nobody may call without an API key."""
        return self.keys == "on" or (self.keys == "auto" and not _is_this_machine(self.host))

    @property
    def weights_dir(self) -> Path:
        """Where model weights are kept."""
        return self.models_dir or self.data_dir / "models"

    @property
    def own_presets_dir(self) -> Path:
        """Where an operator's own presets lie."""
        return self.presets_dir or self.data_dir / "presets"

    @property
    def examples_dir(self) -> Path:
        """Where a rendered example of each preset lies."""
        return self.data_dir / "examples"

    @property
    def record_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'melodyflow.sqlite3').resolve()}"


def bare_environment(**more: str) -> dict[str, str]:
    """Return the environment of a child that needs to run, and of ours no setting and no key."""
    return {name: os.environ[name] for name in _NEEDED_TO_RUN if name in os.environ} | more


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, whatever it means
        return False


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _sentence(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else "?"
        variable = name if name.isupper() else PREFIX + name.upper()
        problems.append(f"{variable}: {problem['msg']}")
    return "; ".join(problems)

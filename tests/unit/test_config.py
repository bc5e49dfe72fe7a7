"""Settings come from the environment, and a wrong one names its variable."""

from pathlib import Path

import pytest

from server.config import InvalidSetting, Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "DATABASE_URL", "MELODYFLOW_PORT", "MELODYFLOW_CORS_ORIGINS"):
        monkeypatch.delenv(name, raising=False)


def test_without_any_variable_everything_runs_embedded() -> None:
    settings = Settings.from_environment()

    assert (None, None, None) == (settings.redis_url, settings.database_url, settings.artifacts_url)
    assert ("127.0.0.1", 8002) == (settings.host, settings.port)


@pytest.mark.parametrize("name", ["REDIS_URL", "MELODYFLOW_REDIS_URL"])
def test_the_broker_may_be_named_as_other_tools_name_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "redis://broker:6379/0")

    assert "redis://broker:6379/0" == Settings.from_environment().redis_url


def test_what_the_caller_says_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELODYFLOW_PORT", "9000")

    assert 9000 == Settings.from_environment(port=None).port
    assert 7000 == Settings.from_environment(port=7000).port


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELODYFLOW_CORS_ORIGINS", "http://a.test, http://b.test")

    assert ("http://a.test", "http://b.test") == Settings.from_environment().cors_origins


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MELODYFLOW_PORT", "eighty"),
        ("MELODYFLOW_PORT", "70000"),
        ("MELODYFLOW_ASYNC_MODE", "gevent"),
        ("MELODYFLOW_RESULTS_HOURS", "0"),
        ("MELODYFLOW_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_stops_the_program_with_the_variables_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSetting, match=name):
        Settings.from_environment()


def test_the_record_is_a_file_of_the_data_directory_unless_told_otherwise(tmp_path: Path) -> None:
    own = Settings.from_environment(data_dir=tmp_path)
    shared = Settings.from_environment(database_url="postgresql://host/name")

    assert f"sqlite:///{tmp_path}/melodyflow.sqlite3" == own.record_url
    assert "postgresql://host/name" == shared.record_url

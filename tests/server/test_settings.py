from __future__ import annotations

import os
from pathlib import Path

import pytest

from skillrouter_mcp.settings import SettingsError, load_settings
from skillrouter_mcp.skills import Root, is_plain


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("SKILLROUTER_", "CLAUDE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def _write_config(home: Path, text: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(text, encoding="utf-8")


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.roots == (tmp_path / ".skills",)
    assert settings.profile == "embedded"
    assert settings.threads is None
    assert settings.candidates is None
    assert settings.budget_ms == 1_500


def test_flags_win_over_environment_and_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("SKILLROUTER_HOME", str(home))
    _write_config(home, 'profile = "file"\nthreads = 1\nroots = ["/from-file"]\n')
    monkeypatch.setenv("SKILLROUTER_THREADS", "2")
    assert load_settings().profile == "file"
    assert load_settings().threads == 2
    assert load_settings(threads=3).threads == 3
    assert load_settings().roots == (Path("/from-file"),)


def test_the_home_is_not_set_in_the_file_that_lies_in_it(tmp_path: Path) -> None:
    _write_config(tmp_path / "home", 'home = "/elsewhere"\n')
    with pytest.raises(SettingsError, match="SKILLROUTER_HOME says where that is"):
        load_settings(home=tmp_path / "home")


def test_a_relative_path_where_the_current_folder_is_gone_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(
        SettingsError, match=r"'home' .*: here: .* the current folder, which is gone"
    ):
        load_settings(home=Path("here"))


def test_roots_are_joined_as_in_path_and_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLROUTER_ROOTS", os.pathsep.join(["/a", "/b", "", "/a"]))
    assert load_settings().roots == (Path("/a"), Path("/b"))


def test_tilde_and_relative_paths_become_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(roots=(Path("~/mine"), Path("here"))).roots == (
        tmp_path / "mine",
        tmp_path / "here",
    )


def test_the_project_of_claude_code_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path / "project"))
    assert load_settings().search_roots() == (
        Root(tmp_path / "project" / ".skills", "project"),
        Root(tmp_path / ".skills", "user"),
    )


def test_the_home_folder_as_project_is_not_walked_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    assert [root.path for root in load_settings().search_roots()] == [tmp_path / ".skills"]


def test_the_projects_of_a_client_count_where_no_setting_names_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    projects = [tmp_path / "one", tmp_path / "two", tmp_path / "one"]
    assert load_settings().search_roots(projects) == (
        Root(tmp_path / "one" / ".skills", "project"),
        Root(tmp_path / "two" / ".skills", "project"),
        Root(tmp_path / ".skills", "user"),
    )
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path / "named"))
    assert load_settings().search_roots(projects)[0].path == tmp_path / "named" / ".skills"
    assert len(load_settings().search_roots(projects)) == 2


@pytest.mark.parametrize("seconds", ["-1", "inf", "nan", "soon"])
def test_the_owner_cannot_linger_for_any_odd_time(
    monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    monkeypatch.setenv("SKILLROUTER_LINGER", seconds)
    with pytest.raises(SettingsError, match="linger"):
        load_settings()


def test_a_bad_value_is_named_with_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLROUTER_THREADS", "many")
    with pytest.raises(SettingsError, match=r"threads.*integer"):
        load_settings()


@pytest.mark.parametrize("folder", ["two\nlines", "\x1b[2J", "left\u202eright", "caf\udce9"])
@pytest.mark.parametrize("name", ["SKILLROUTER_ROOTS", "SKILLROUTER_HOME", "CLAUDE_PROJECT_DIR"])
def test_a_path_that_cannot_be_shown_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    monkeypatch.setenv(name, f"/skills/{folder}")
    with pytest.raises(SettingsError, match=r"/skills/\w*\\.*rename the folder") as caught:
        load_settings()
    assert is_plain(str(caught.value))
    assert name.split("_")[1].lower().removesuffix("_dir") in str(caught.value)


def test_a_flag_that_cannot_be_shown_is_refused() -> None:
    with pytest.raises(SettingsError, match="roots"):
        load_settings(roots=(Path("/a\nb"),))


def test_an_unknown_key_in_the_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKILLROUTER_HOME", str(tmp_path))
    _write_config(tmp_path, 'rootz = ["/a"]\n')
    with pytest.raises(SettingsError, match="rootz"):
        load_settings()


def test_a_file_that_is_no_toml_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKILLROUTER_HOME", str(tmp_path))
    _write_config(tmp_path, "profile = \n")
    with pytest.raises(SettingsError, match=r"config\.toml"):
        load_settings()


def test_the_second_stage_is_set_by_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLROUTER_CANDIDATES", "0")
    monkeypatch.setenv("SKILLROUTER_BUDGET_MS", "700")
    assert load_settings().candidates == 0
    assert load_settings().budget_ms == 700


@pytest.mark.parametrize(
    ("name", "value"), [("CANDIDATES", "-1"), ("CANDIDATES", "many"), ("BUDGET_MS", "-5")]
)
def test_a_second_stage_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"SKILLROUTER_{name}", value)
    with pytest.raises(SettingsError, match=name.lower()):
        load_settings()

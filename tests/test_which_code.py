"""The log says which code of the plugin runs, and warns if another folder was named."""

import re
import shutil

import pytest
from commands import CHECKOUT, PLUGIN, TEAFORN, TRANSLATION, TWIN, run

import teaforn_fairseq

SHORT = [*TEAFORN, "--optimizer", "adam", "--max-tokens", "800", "--cpu"]
SHORT += ["--max-update", "1", "--no-save"]
LINE = re.compile(r"INFO \| teaforn_fairseq\S+ \| teaforn_fairseq (\S+) from (.*)")


def log_of(data, *options, cwd=None):
    """What fairseq-train logs where Python finds this checkout, as if it were installed."""
    plugin = ["--user-dir", PLUGIN, *TWIN, *TRANSLATION]  # a further --user-dir wins
    return run("fairseq-train", data, *plugin, *SHORT, *options, cwd=cwd, env=CHECKOUT)


@pytest.fixture
def copy(tmp_path):
    """copy(path): the plugin's folder in another place."""

    def make(path):
        ignore = shutil.ignore_patterns("__pycache__")
        return shutil.copytree(PLUGIN, tmp_path / path, ignore=ignore)

    return make


def test_one_line_names_version_and_folder(data):
    printed = log_of(data, "--num-workers", "2")
    assert LINE.findall(printed) == [(teaforn_fairseq.__version__, str(PLUGIN))]
    assert "WARNING" not in printed


def test_a_copy_under_another_name_is_not_what_runs_and_a_warning_says_so(data, tmp_path, copy):
    printed = log_of(data, "--user-dir", copy("my_copy"))
    assert LINE.findall(printed)[0][1] == str(PLUGIN)
    (warning,) = re.findall(r"WARNING \| teaforn_fairseq.*", printed)
    rule = "--user-dir: must be the folder whose code is to run; received"
    assert f"{rule} {tmp_path}/my_copy, but the code of {PLUGIN} runs" in warning


def test_a_link_of_another_name_is_the_folder_itself(data, tmp_path):
    (tmp_path / "my_link").symlink_to(PLUGIN)
    printed = log_of(data, "--user-dir", tmp_path / "my_link")
    assert len(LINE.findall(printed)) == 1
    assert "WARNING" not in printed


def test_a_folder_of_the_right_name_runs_itself_and_relative_paths_are_fine(data, tmp_path, copy):
    folder = copy("other/teaforn_fairseq")
    printed = log_of(data, "--user-dir", "other/teaforn_fairseq", cwd=tmp_path)
    assert LINE.findall(printed) == [(teaforn_fairseq.__version__, str(folder))]
    assert "WARNING" not in printed

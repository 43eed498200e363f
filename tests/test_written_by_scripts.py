"""What the scripts write appears whole, and in place of nothing but a file."""

import json
import os
import stat

import pytest
from bench.output import require_folder, write_json
from commands import ROOT, run
from recipes import files
from recipes.errors import Refused


@pytest.fixture
def device(tmp_path):
    """A device like /dev/null that may be lost."""
    if os.geteuid():
        pytest.skip("needs the right to make a device")
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    return tmp_path / "null"


def test_a_device_stays_a_device(device):
    require_folder("--json", device)
    write_json(device, {"a": 1})
    assert stat.S_ISCHR(device.stat().st_mode)
    with pytest.raises(Refused, match="null: must be a file or not be there; it is something else"):
        files.write(device, "text")
    assert stat.S_ISCHR(device.stat().st_mode)
    assert os.listdir(device.parent) == ["null"]


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_is_followed_and_stays(tmp_path, there):
    (tmp_path / "elsewhere").mkdir()
    link, file = tmp_path / "link.json", tmp_path / "elsewhere/file.json"
    if there:
        file.write_text("old")
    link.symlink_to(file)
    require_folder("--json", link)
    write_json(link, {"a": 1})
    assert link.is_symlink() and json.loads(file.read_text()) == {"a": 1}
    files.write(link, "text")
    assert link.is_symlink() and file.read_text() == "text"
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--json: must be a file in a folder that is there"):
        require_folder("--json", tmp_path)
    with pytest.raises(Refused, match="must be a file or not be there"):
        files.write(tmp_path, "text")


def test_what_is_printed_stays_before_json_on_the_same_output(tmp_path):
    code = "import bench.output as o, pathlib; print('table'); o.write_json(pathlib.Path(%r), {})"
    command = f'{{ python -c "{code % "/dev/stdout"}"; }} > {tmp_path}/out'
    run("bash", "-euc", command, env={"PYTHONPATH": str(ROOT / "scripts")})
    assert (tmp_path / "out").read_text() == "table\n{}\n"


def test_the_matrix_replaces_nothing_but_a_file(device):
    place = {"OUT": str(device.parent / "out"), "TABLE": str(device)}
    out = run(
        ROOT / "scripts/matrix.sh", "--dry-run", "3.12/fairseq-fixed/2.4", env=place, fails=True
    )
    assert out == f"error: TABLE={device}: must be a file or not be there.\n"

import hashlib
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.zoo.errors import CheckpointError
from r21d_keras.zoo.hashes import check_hash, read_sums, split_hash, write_sums

SHA256, SHA1 = hashlib.sha256(b"net").hexdigest(), hashlib.sha1(b"net").hexdigest()


@pytest.fixture
def path(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"net")
    return tmp_path / "net.pth"


@given(length=st.integers(8, 64))
def test_any_beginning_of_a_digest_is_a_hash(length):
    assert split_hash(f"sha256:{SHA256[:length]}") == ("sha256", SHA256[:length])


@pytest.mark.parametrize(
    "file_hash",
    ["", SHA256, "sha256:", f"sha256:{SHA256[:7]}", f"sha256:{SHA256}0", f"sha1:{SHA256}"]
    + [f"md5:{SHA1[:32]}", f"sha256:{SHA256.upper()}", f"sha256:{SHA256[:8]}\n"],
)
def test_what_is_no_hash(path, file_hash):
    with pytest.raises(ValueError, match="file_hash="):
        check_hash(path, file_hash, "")


@pytest.mark.parametrize(
    "file_hash", [None, f"sha256:{SHA256}", f"sha256:{SHA256[:8]}", f"sha1:{SHA1}"]
)
def test_a_file_with_its_hash(path, file_hash):
    assert check_hash(path, file_hash, "") == SHA256


def test_another_hash_is_said_with_what_to_do(path):
    with pytest.raises(CheckpointError, match=rf"net.pth has sha1 {SHA1}, but 00000000\.\.\. is"):
        check_hash(path, "sha1:00000000", "Delete it.")
    with pytest.raises(CheckpointError, match=rf"but {'0' * 64} is published.* Delete it\."):
        check_hash(path, f"sha256:{'0' * 64}", "Delete it.")


def test_sums_are_read_as_written_and_as_sha256sum_writes_them(path):
    sums = path.with_name("SHA256SUMS")
    assert read_sums(sums) == {}
    write_sums(sums, {"z": "0" * 64, "net.pth": SHA256})
    assert sums.read_text() == f"{SHA256}  net.pth\n{'0' * 64}  z\n"
    assert read_sums(sums) == {"z": "0" * 64, "net.pth": SHA256}
    assert sorted(file.name for file in path.parent.iterdir()) == ["SHA256SUMS", "net.pth"]
    write_sums(sums, {"net.pth": SHA256})
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=path.parent, check=True)
        shown = subprocess.run(["sha256sum", "-b", path.name], cwd=path.parent, capture_output=True)
        sums.write_bytes(shown.stdout)
        assert read_sums(sums) == {"net.pth": SHA256}


@pytest.mark.parametrize("text", ["\n", "net.pth", f"{SHA256[:-1]}  net.pth\n", "\xff"])
def test_sums_that_are_none_are_refused(path, text):
    path.write_text(text, "latin-1")
    with pytest.raises(CheckpointError, match=f"{path} has lines"):
        read_sums(path)

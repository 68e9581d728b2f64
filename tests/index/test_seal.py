"""The checksum of a folder: any change is seen, holes are not."""

import os
import shutil

import pytest

from hearth.index import seal
from hearth.index.seal import BLOCK_BYTES, digest_of


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "deep" / "er" / "text").write_bytes(b"some text")
    (made / "empty").touch()
    with (made / "holes").open("wb") as stream:
        stream.truncate(40 * BLOCK_BYTES + 77)
        for at in (BLOCK_BYTES * 3 + 5, BLOCK_BYTES * 4 - 1, BLOCK_BYTES * 20 + 60_000):
            os.pwrite(stream.fileno(), b"data", at)
    return made


def test_a_copy_without_holes_is_the_same(tmp_path, folder):
    data = (folder / "holes").read_bytes()
    before = digest_of(folder, "")
    (folder / "holes").write_bytes(data)
    assert digest_of(folder, "") == before
    shutil.copytree(folder, tmp_path / "copy")
    assert digest_of(tmp_path / "copy", "") == before


def test_without_a_platform_that_tells_holes(folder, monkeypatch):
    before = digest_of(folder, "")
    monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    assert digest_of(folder, "") == before


@pytest.mark.parametrize(
    "at", [0, 1, 4_096, BLOCK_BYTES - 1, BLOCK_BYTES * 3 + 5, BLOCK_BYTES * 39 + 9, BLOCK_BYTES * 40 + 76]
)
def test_one_bit_anywhere_is_seen(folder, at):
    before = digest_of(folder, "")
    with (folder / "holes").open("r+b") as stream:
        byte = os.pread(stream.fileno(), 1, at)[0]
        os.pwrite(stream.fileno(), bytes([byte ^ 1]), at)
        assert digest_of(folder, "") != before
        os.pwrite(stream.fileno(), bytes([byte]), at)
    assert digest_of(folder, "") == before


def test_names_and_sizes_are_seen(folder):
    seen = {digest_of(folder, "")}
    os.truncate(folder / "holes", 40 * BLOCK_BYTES + 78)
    seen.add(digest_of(folder, ""))
    (folder / "empty").rename(folder / "vacant")
    seen.add(digest_of(folder, ""))
    (folder / "vacant").unlink()
    seen.add(digest_of(folder, ""))
    (folder / "more").touch()
    seen.add(digest_of(folder, ""))
    assert len(seen) == 5
    assert digest_of(folder, "more") not in {digest_of(folder, "")}


def test_of_large_files_the_beginning_is_read(folder, monkeypatch):
    monkeypatch.setattr(seal, "READ_BYTES_MAX", BLOCK_BYTES * 2)
    before = digest_of(folder, "")
    data = bytearray((folder / "holes").read_bytes())
    (folder / "holes").write_bytes(data)
    assert digest_of(folder, "") == before, "zeros do not count"
    data[BLOCK_BYTES * 20 + 60_000] ^= 1
    (folder / "holes").write_bytes(data)
    assert digest_of(folder, "") == before, "the third block that is not zeros"
    data[BLOCK_BYTES * 4 - 1] ^= 1
    (folder / "holes").write_bytes(data)
    assert digest_of(folder, "") != before

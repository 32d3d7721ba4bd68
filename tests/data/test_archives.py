"""Reading in place is safe, writing is the same everywhere and whole or not at all."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.data import archives
from nanonuclei.data.archives import Limits, file_sha256, open_files, open_inner_zip, write_zip
from nanonuclei.errors import DataError


def zipped(path: Path, files: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_folder_and_a_zip_of_it_read_alike(tmp_path: Path) -> None:
    contents = {"b/two.bin": b"22", "a.bin": b"1", "b/c/three.bin": b""}
    folder = tmp_path / "folder"
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    archive = zipped(tmp_path / "a.zip", {"b/": b"", **contents}, compression=zipfile.ZIP_DEFLATED)
    for path in (folder, archive):
        with open_files(path) as files:
            assert files.names == ("a.bin", "b/c/three.bin", "b/two.bin")
            assert {name: files.read(name) for name in files.names} == contents


def test_what_lies_uncompressed_on_disk_is_found_in_place(tmp_path: Path) -> None:
    contents = {"a.bin": b"first", "b/\u00fc.bin": b"second, longer", "c.bin": b""}
    write_zip(tmp_path / "stored.zip", contents.items())
    zipped(tmp_path / "packed.zip", contents, compression=zipfile.ZIP_DEFLATED)
    (tmp_path / "folder/b").mkdir(parents=True)
    for name, content in contents.items():
        (tmp_path / "folder" / name).write_bytes(content)
    for source in ("stored.zip", "folder"):
        with open_files(tmp_path / source) as files:
            for name, content in contents.items():
                place = files.place(name)
                assert place is not None
                assert place.path.read_bytes()[place.offset : place.offset + place.size] == content
    with open_files(tmp_path / "packed.zip") as files:
        assert [files.place(name) for name in files.names] == [None, None, None]
    zipped(tmp_path / "outer.zip", {"stored.zip": (tmp_path / "stored.zip").read_bytes()})
    with open_files(tmp_path / "outer.zip") as files, open_inner_zip(files, "stored.zip") as inside:
        assert inside.place("a.bin") is None


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(file=99, total=1000, ratio=2000), r"a\.bin has 100 bytes, more than the 99"),
        (Limits(file=1000, total=99, ratio=2000), "unpacks to more than 99 bytes"),
        (Limits(file=100, total=100, ratio=1), None),
    ],
)
def test_limits_can_be_set_for_a_dataset(tmp_path: Path, limits: Limits, message: str | None) -> None:
    path = zipped(tmp_path / "a.zip", {"a.bin": b"0" * 100}, compression=zipfile.ZIP_DEFLATED)
    if message is None:
        with open_files(path, limits=limits) as files:
            assert len(files.read("a.bin")) == 100
    else:
        with pytest.raises(DataError, match=message), open_files(path, limits=limits):
            pass


def test_a_zip_inside_a_zip_is_read_without_unpacking(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"x/y.bin": b"deep"})
    outer = zipped(tmp_path / "outer.zip", {"in/inner.zip": inner.read_bytes()}, compression=zipfile.ZIP_DEFLATED)
    inner.unlink()
    with open_files(outer) as files, open_inner_zip(files, "in/inner.zip") as inside:
        assert inside.read("x/y.bin") == b"deep"
        assert inside.path == outer / "in/inner.zip"
    assert list(tmp_path.iterdir()) == [outer]


UNSAFE_NAMES = [
    "/etc/passwd.png",
    "../up.png",
    "a/../../up.png",
    "a/..",
    "C:/windows.png",
    "d:x.png",
    "\\up.png",
    "..\\up.png",
    "a/\x1b[31m.png",
]


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_a_name_that_leads_out_of_the_archive_is_refused_and_named(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", {"good.png": b"1", name: b"2"})
    with pytest.raises(DataError) as caught, open_files(path):
        pass
    assert repr(name) in str(caught.value)


def test_a_name_with_backslashes_is_a_path(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo()
    entry.filename = entry.orig_filename = "a\\b\\x.png"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, b"1")
    with open_files(tmp_path / "a.zip") as files:
        assert files.names == ("a/b/x.png",)
        assert files.read("a/b/x.png") == b"1"


def test_a_link_that_leads_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "passwords.png").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=r"passwords\.png is a link that leads out"), open_files(tmp_path / "in"):
        pass


@pytest.mark.parametrize("name", ["a..b/x.png", "a/b...png", "ab:c.png", "a/ü.png"])
def test_a_name_that_only_looks_odd_is_read(tmp_path: Path, name: str) -> None:
    with open_files(zipped(tmp_path / "a.zip", {name: b"2"})) as files:
        assert files.read(name) == b"2"


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo("images/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"images/link\.png, a symbolic link"), open_files(path):
        pass


def test_an_entry_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"bomb.png": bytes(2**22)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=r"bomb\.png, which unpacks from .* to 4,194,304 bytes"), open_files(path):
        pass


def test_a_zip_that_unpacks_to_far_more_as_a_whole_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanonuclei.data.archives.MAX_FILE", 2**22)
    limits = Limits(file=2**31, total=2**36, ratio=1100)
    files = {"images/a.png": bytes(2**23), "masks/a.png": b"1"}
    path = zipped(tmp_path / "a.zip", files, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=r"a\.zip unpacks from .* to 8,388,609 bytes"), open_files(path, limits=limits):
        pass
    files["images/b.png"] = np.random.default_rng(0).bytes(2**17)  # an empty mask of a large image may pack so
    path = zipped(tmp_path / "a.zip", files, compression=zipfile.ZIP_DEFLATED)
    with open_files(path, limits=limits) as opened:
        assert len(opened.names) == 3


def test_a_small_file_may_compress_well(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"flat.png": bytes(2**20)}, compression=zipfile.ZIP_DEFLATED)
    with open_files(path) as files:
        assert len(files.read("flat.png")) == 2**20


@pytest.mark.parametrize(
    ("limit", "value", "says"),
    [
        ("MAX_FILE", 99, r"two\.png has 100 bytes, more than the 99"),
        ("MAX_TOTAL", 149, r"unpacks to more than 149 bytes"),
        ("MAX_INNER_ZIP", 9, r"three\.zip has 10 bytes, more than the 9"),
    ],
)
def test_sizes_beyond_the_limits_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, says: str
) -> None:
    monkeypatch.setattr(archives, limit, value)
    path = zipped(tmp_path / "a.zip", {"one.png": bytes(50), "two.png": bytes(100), "three.zip": bytes(10)})
    with pytest.raises(DataError, match=says), open_files(path):
        pass


def test_a_file_too_large_in_a_folder_is_refused_when_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILE", 4)
    (tmp_path / "x.png").write_bytes(b"12345")
    with open_files(tmp_path) as files, pytest.raises(DataError, match="5 bytes, more than the 4"):
        files.read("x.png")


def test_an_entry_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.png", b"2")
    with pytest.raises(DataError, match=r"holds x\.png twice"), open_files(path):
        pass


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x.png": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.png, which is encrypted"), open_files(path):
        pass


def test_a_changed_byte_is_found_by_the_checksum_of_its_entry(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x.png": b"hello", "y.png": b"world"})
    path.write_bytes(path.read_bytes().replace(b"hello", b"hallo"))
    with open_files(path) as files:
        with pytest.raises(DataError, match=r"x\.png .*CRC"):
            files.read("x.png")
        assert files.read("y.png") == b"world"


def test_an_entry_that_lies_about_its_size_gives_no_more_than_it_states(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x.png": bytes(2**22)}, compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, 1000)
    path.write_bytes(content)
    with open_files(path) as files, pytest.raises(DataError, match=r"cannot read x\.png"):
        files.read("x.png")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut short"])
def test_what_is_no_zip_is_refused_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is no complete zip .*Download it again"), open_files(path):
        pass


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"), open_files(tmp_path / "none.zip"):
        pass


def test_a_written_zip_has_these_bytes_on_every_machine(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", [("s/images/s.png", b"image"), ("s/masks/a.png", b"mask")])
    assert file_sha256(tmp_path / "a.zip") == "131dbb0b7562bad6f27bd56ad024fe8b92ca411164a9f4a0123bc5264f1486d5"
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        entry = archive.getinfo("s/images/s.png")
    assert (entry.date_time, entry.create_system, entry.external_attr, entry.compress_type) == (
        (2018, 4, 11, 0, 0, 0),
        3,
        0o644 << 16,
        zipfile.ZIP_STORED,
    )


@settings(deadline=None, max_examples=25)
@given(
    st.dictionaries(st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}\.png", fullmatch=True), st.binary(max_size=200))
)
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("law") / "a.zip"
    write_zip(path, contents.items())
    with open_files(path) as files:
        assert {name: files.read(name) for name in files.names} == contents

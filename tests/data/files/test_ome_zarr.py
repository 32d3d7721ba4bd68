"""OME-Zarr folders of old and new versions, where the package zarr is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.files.synthetic import NUCLEI, OTHER

from nanonuclei.data.files.axes import Choice
from nanonuclei.data.files.limits import ImageLimits
from nanonuclei.data.files.listing import list_images
from nanonuclei.data.files.reading import iter_image_file
from nanonuclei.errors import DataError

zarr = pytest.importorskip("zarr")

VALUES = np.stack([np.stack([OTHER, OTHER]), np.stack([NUCLEI // 2, NUCLEI])])[None]
AXES = [{"name": name, **({"type": "space", "unit": "micrometer"} if name in "zyx" else {})} for name in "tczyx"]


def write(folder: Path, *, new: bool) -> Path:
    group = zarr.open_group(folder, mode="w", zarr_format=3 if new else 2)
    group.create_array("0", data=VALUES, chunks=(1, 1, 1, 64, 64))
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0, 0.65, 0.65]}]
    attributes = {
        "multiscales": [{"axes": AXES, "datasets": [{"path": "0", "coordinateTransformations": scale}]}],
        "omero": {"channels": [{"label": "GFP"}, {"label": "DAPI"}]},
    }
    group.attrs.update({"ome": attributes} if new else attributes)
    return folder


@pytest.mark.parametrize("new", [False, True])
def test_channels_focal_planes_and_pixel_size_are_read(tmp_path: Path, new: bool) -> None:
    folder = write(tmp_path / "a.ome.zarr", new=new)
    assert list_images(tmp_path) == {"a": folder}
    (plane,) = iter_image_file(folder)
    np.testing.assert_array_equal(plane.image, NUCLEI)
    np.testing.assert_array_equal(plane.channels[0], OTHER)
    assert plane.choice == "channel 1 (DAPI) of 2, maximum over 2 focal planes"
    assert plane.pixel_size == 0.65
    np.testing.assert_array_equal(next(iter_image_file(folder, Choice(z=0))).image, NUCLEI // 2)


def test_what_is_no_image_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(DataError, match=r"empty\.zarr: not a readable OME-Zarr"):
        list(iter_image_file(tmp_path / "empty.zarr"))
    with pytest.raises(DataError, match="px, more than the"):
        list(iter_image_file(write(tmp_path / "a.zarr", new=True), limits=ImageLimits(num_pixels=100)))
    (tmp_path / "a.zarr" / "0" / "c" / "link").symlink_to("/")
    with pytest.raises(DataError, match="link that leads out"):
        list(iter_image_file(tmp_path / "a.zarr"))


def chunks(folder: Path) -> list[Path]:
    return [path for path in (folder / "0").rglob("*") if path.is_file() and path.name[0].isdigit()]


@pytest.mark.parametrize("new", [False, True])
def test_missing_chunks_are_said_and_an_array_without_any_is_refused(tmp_path: Path, new: bool) -> None:
    folder = write(tmp_path / "a.zarr", new=new)
    found = chunks(folder)
    assert len(found) == 16
    found[0].unlink()
    (plane,) = iter_image_file(folder)
    assert plane.choice.endswith("1 of 16 chunks are missing and taken for zeros")
    for chunk in found[1:]:
        chunk.unlink()
    with pytest.raises(DataError, match=r"a\.zarr: holds no pixels: all its chunks are missing"):
        list(iter_image_file(folder))


@pytest.mark.parametrize("codec", ["blosc", "zstd", "gzip", "none"])
def test_chunks_that_are_cut_short_are_refused_whatever_packed_them(tmp_path: Path, codec: str) -> None:
    codecs = zarr.codecs
    kinds = {"blosc": [codecs.BloscCodec()], "zstd": [codecs.ZstdCodec()], "gzip": [codecs.GzipCodec()], "none": None}
    folder = tmp_path / "a.zarr"
    group = zarr.open_group(folder, mode="w", zarr_format=3)
    group.create_array("0", data=np.maximum(NUCLEI, 1), chunks=(64, 64), compressors=kinds[codec])
    group.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]
    (plane,) = iter_image_file(folder)
    np.testing.assert_array_equal(plane.image, np.maximum(NUCLEI, 1))
    for share in (0.5, 0.0):
        chunk = chunks(folder)[-1]
        content = chunk.read_bytes()
        chunk.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match=r"a\.zarr: (chunk \d\.\d is cut short|not a readable OME-Zarr)"):
            list(iter_image_file(folder))
        chunk.write_bytes(content)

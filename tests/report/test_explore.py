"""A dataset's figures show its images, counts and splits as the catalog has them."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.drawn import sample_ref

from nanonuclei.data.catalog import Catalog, Sample, SampleRef
from nanonuclei.errors import DataError
from nanonuclei.report.explore import MAX_IMAGES, histograms, image_grid, split_overview
from nanonuclei.tasks.nuclei.reader import NOUN


def written(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=40)
    return target.getvalue()


@pytest.fixture
def sample(tmp_path: Path) -> SampleRef:
    labels = np.zeros((40, 60), np.uint16)
    labels[5:15, 5:15], labels[20:35, 30:50] = 1, 2
    image = np.where(labels > 0, 200, 20).astype(np.uint8)
    drawn = Sample("a" * 64, np.dstack([image, image, image // 2]), labels)
    return sample_ref(tmp_path, drawn, "train", field=0, modality="stained")


def catalog(rows: list[tuple[str, str, int, int, int]]) -> Catalog:
    """A catalog without files from (modality, split, field, objects, height)."""
    samples = [
        SampleRef(f"s{n}", Path("i"), Path("l"), height, 256, modality, objects, field, split, "0")  # type: ignore[arg-type]
        for n, (modality, split, field, objects, height) in enumerate(rows)
    ]
    return Catalog("drawn", "0" * 32, tuple(samples))


ROWS = [
    ("stained", "train", 0, 30, 256),
    ("stained", "train", 0, 10, 256),
    ("stained", "val", 1, 5, 256),
    ("fluorescence", "train", 2, 1, 520),
    ("fluorescence", "train", 3, 0, 520),
    ("fluorescence", "test", 4, 300, 256),
    ("fluorescence", "test", 5, 100, 360),
]


class TestImageGrid:
    def test_each_image_stands_beside_its_outlined_nuclei_with_id_size_and_count(self, sample: SampleRef) -> None:
        figure = image_grid([sample, replace(sample, sample_id="b", num_objects=1)], title="Stained", noun=NOUN)
        texts = [text.get_text() for text in figure.texts]
        assert texts == ["Stained", "aaaaaaa..aaaaaaa\n40 x 60 px, 2 nuclei", "b\n40 x 60 px, 1 nucleus"]
        image, outlines = (axes.images[0].get_array() for axes in figure.axes[:2])
        assert len(figure.axes) == 4
        assert image.shape == outlines.shape
        assert image.shape[0] * 60 == pytest.approx(image.shape[1] * 40, rel=0.02)
        in_colour = outlines[outlines.max(axis=2) != outlines.min(axis=2)]
        assert len(np.unique(in_colour, axis=0)) == 2
        assert written(figure)

    @pytest.mark.parametrize(("num", "drawn"), [(1, 1), (MAX_IMAGES + 1, 12)])
    def test_at_most_twelve_images_are_drawn(self, sample: SampleRef, num: int, drawn: int) -> None:
        assert len(image_grid([sample] * num, title="", noun=NOUN).axes) == 2 * drawn

    def test_pictures_do_not_overlap_and_stay_on_the_page(self, sample: SampleRef) -> None:
        boxes = [axes.get_position() for axes in image_grid([sample] * 7, title="", noun=NOUN).axes]
        assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
        for place, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:place])

    def test_no_samples_are_refused(self) -> None:
        with pytest.raises(DataError, match="at least one sample"):
            image_grid([], title="", noun=NOUN)


AREAS = {"stained": np.array([20, 300, 300, 5000]), "fluorescence": np.array([100])}


class TestHistograms:
    def test_the_bars_count_the_images_of_each_size_by_modality(self) -> None:
        sizes = histograms(catalog(ROWS).table(), AREAS, noun=NOUN, size="area").axes[0]
        assert [tick.get_text() for tick in sizes.get_yticklabels()] == ["256 x 256", "520 x 256", "360 x 256"]
        assert [text.get_text() for text in sizes.texts] == ["4", "2", "1"]
        assert sum(bar.get_width() for bar in sizes.patches) == len(ROWS)

    def test_rare_sizes_share_a_bar(self) -> None:
        table = catalog([("stained", "train", 0, 1, height) for height in range(100, 114)]).table()
        sizes = histograms(table, {}, noun=NOUN, size="area").axes[0]
        assert sizes.get_yticklabels()[-1].get_text() == "5 other sizes"
        assert sum(bar.get_width() for bar in sizes.patches) == 14

    def test_the_legends_count_images_and_nuclei_and_name_images_without_any(self) -> None:
        _, per_image, per_nucleus = histograms(catalog(ROWS).table(), AREAS, noun=NOUN, size="area").axes
        legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in (per_image, per_nucleus)]
        assert legends == [
            ["fluorescence: n = 4, 1 with none, median 50", "stained: n = 3, median 10"],
            ["fluorescence: n = 1, median 100", "stained: n = 4, median 300"],
        ]

    def test_the_shares_of_a_modality_add_up_to_its_images_with_nuclei(self) -> None:
        _, per_image, per_nucleus = histograms(catalog(ROWS).table(), AREAS, noun=NOUN, size="area").axes
        sums = [[patch.get_data().values.sum() for patch in axes.patches] for axes in (per_image, per_nucleus)]
        np.testing.assert_allclose(sums, [[0.75, 0.75, 1, 1], [1, 1, 1, 1]])
        assert per_image.get_xscale() == per_nucleus.get_xscale() == "log"
        assert "px" in per_nucleus.get_xlabel()

    @pytest.mark.parametrize("areas", [{}, {"stained": np.array([], int)}, {"stained": np.array([7, 7])}])
    def test_it_draws_without_areas_and_with_one_area(self, areas: dict[str, np.ndarray]) -> None:
        assert written(histograms(catalog([("stained", "train", 0, 0, 256)]).table(), areas, noun=NOUN, size="area"))

    def test_an_empty_table_is_refused(self) -> None:
        with pytest.raises(DataError, match="at least one image"):
            histograms(pd.DataFrame(), {}, noun=NOUN, size="area")


class TestSplitOverview:
    def test_counts_stand_over_bars_of_shares(self) -> None:
        figure = split_overview(catalog(ROWS).split_table(), noun=NOUN)
        titles = [axes.get_title() for axes in figure.axes]
        counts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
        assert titles == [f"{name}: train / val / test" for name in ("Images", "Fields of view", "Nuclei")]
        assert counts == [["2 / 0 / 2", "2 / 1 / 0"], ["2 / 0 / 2", "1 / 1 / 0"], ["1 / 0 / 400", "40 / 5 / 0"]]
        assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([0.5, 0, 0.5, 2 / 3, 1 / 3, 0])
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "val", "test"]
        assert written(figure)

    def test_the_modality_with_most_images_comes_first(self) -> None:
        labels = split_overview(catalog(ROWS).split_table(), noun=NOUN).axes[0].get_yticklabels()
        assert [label.get_text() for label in labels] == ["fluorescence", "stained"]

    def test_a_modality_without_nuclei_is_drawn(self) -> None:
        assert written(split_overview(catalog([("stained", "train", 0, 0, 256)]).split_table(), noun=NOUN))

    def test_an_empty_table_is_refused(self) -> None:
        with pytest.raises(DataError, match="at least one image"):
            split_overview(pd.DataFrame(), noun=NOUN)


def test_a_real_image_of_each_modality_is_drawn(tmp_path: Path, shared_data: Path) -> None:
    data = shared_data / "data"
    archive, table = data / "stage1_train.zip", data / "stage1_train_fields.csv"
    if not table.is_file():
        pytest.skip("the table of the images' modalities is not beside them")
    with table.open(encoding="utf-8") as rows:
        modalities = {row["modality"]: row["image_id"] for row in csv.DictReader(rows)}
    samples = []
    with zipfile.ZipFile(archive) as files:
        names = [name for name in files.namelist() if name.endswith(".png")]
        for modality, image_id in modalities.items():
            own = sorted(name for name in names if image_id in name.split("/"))
            pixels = [cv2.imdecode(np.frombuffer(files.read(name), np.uint8), cv2.IMREAD_COLOR) for name in own]
            labels = np.zeros(pixels[0].shape[:2], np.uint16)
            for label, (_, mask) in enumerate(
                ((name, mask) for name, mask in zip(own, pixels, strict=True) if "/masks/" in name), start=1
            ):
                labels[mask[..., 0] > 0] = label
            (image,) = (image for name, image in zip(own, pixels, strict=True) if "/images/" in name)
            samples.append(sample_ref(tmp_path, Sample(image_id, image, labels), "train", field=0, modality=modality))
    figure = image_grid(samples, title="One image of each modality", noun=NOUN)
    assert {"fluorescence", "stained", "brightfield"} <= set(modalities)
    assert len(figure.axes) == 2 * len(samples)
    for sample, outlines in zip(samples, figure.axes[1::2], strict=True):
        drawn = outlines.images[0].get_array()
        assert (drawn.max(axis=2) != drawn.min(axis=2)).sum() > sample.num_objects

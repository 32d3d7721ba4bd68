"""Pictures show every instance, in colours that tell neighbours, hits, misses and false finds apart."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from nanonuclei.drawing import pictures
from nanonuclei.drawing.charts import DPI
from nanonuclei.drawing.pictures import Panel, panels
from nanonuclei.errors import DataError


def written(figure: Figure) -> bytes:
    """Draws the figure as a program without a display would; warnings are errors."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=40)
    return target.getvalue()


def square(corner: tuple[int, int], side: int, *, shape: tuple[int, int] = (32, 48)) -> NDArray[np.int32]:
    labels = np.zeros(shape, np.int32)
    labels[corner[0] : corner[0] + side, corner[1] : corner[1] + side] = 1
    return labels


class TestPanels:
    def test_a_row_shows_image_truth_prediction_and_difference(self) -> None:
        image = np.random.default_rng(0).integers(0, 255, (32, 48), np.uint8)
        rows = [Panel(image, square((4, 4), 8), np.zeros((32, 48), np.uint16), f"row {n}: cost $5") for n in range(2)]
        figure = panels(rows, title="Test images", one="nucleus", many="nuclei")
        texts = [text.get_text() for text in figure.texts]
        assert len(figure.axes) == 8
        assert {"Test images", "row 0: cost $5", "row 1: cost $5", "image", "difference"} < set(texts)
        assert texts.count("annotated: 1 nucleus") == texts.count("predicted: 0 nuclei") == 2
        assert written(figure)

    def test_the_legend_names_correct_missed_and_false(self) -> None:
        (legend,) = panels(
            [Panel(square((4, 4), 8), square((4, 4), 8), square((4, 4), 8), "")], title="", one="nucleus", many="nuclei"
        ).legends
        patches = {patch.get_label().split(":")[0]: patch.get_facecolor()[:3] for patch in legend.get_patches()}
        assert list(patches) == ["correct", "missed", "false"]
        assert len(set(patches.values())) == 3
        assert all(isinstance(patch, Patch) for patch in legend.get_patches())

    @pytest.mark.parametrize(
        ("true", "predicted", "named"),
        [
            (square((8, 16), 16), square((8, 16), 16), "correct"),
            (square((8, 16), 16), square((0, 0), 4), "missed"),
            (square((0, 0), 4), square((8, 16), 16), "false"),
        ],
    )
    def test_the_difference_has_the_colour_that_the_legend_gives_it(
        self, true: NDArray[np.int32], predicted: NDArray[np.int32], named: str
    ) -> None:
        figure = panels(
            [Panel(np.zeros((32, 48, 3), np.uint8), true, predicted, "")], title="", one="nucleus", many="nuclei"
        )
        drawn = figure.axes[3].images[0].get_array()
        (patch,) = (patch for patch in figure.legends[0].get_patches() if patch.get_label().startswith(named))
        middle = drawn[drawn.shape[0] // 2, drawn.shape[1] // 2]
        np.testing.assert_allclose(middle / 255, to_rgb(patch.get_facecolor()), atol=0.003)

    def test_touching_nuclei_have_outlines_of_different_colours(self) -> None:
        labels = np.zeros((100, 100), np.uint16)
        labels[20:80, 20:50], labels[20:80, 50:80] = 7, 900
        drawn = pictures.outlined(np.zeros((100, 100, 3), np.uint8), labels)
        left, right = drawn[50, 49], drawn[50, 50]
        assert (left != right).any()
        assert [bool(pixel.any()) for pixel in (left, right, drawn[50, 35], drawn[50, 10])] == [
            True,
            True,
            False,
            False,
        ]

    @settings(deadline=None, max_examples=25)
    @given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6))
    def test_of_six_nuclei_no_two_side_by_side_share_a_colour(self, places: set[tuple[int, int]]) -> None:
        labels = np.zeros((16, 16), np.int32)
        for label, (y, x) in enumerate(sorted(places), start=1):
            labels[4 * y : 4 * y + 3, 4 * x : 4 * x + 3] = label
        drawn = pictures.outlined(np.zeros((16, 16, 3), np.uint8), labels)
        for y, x in places:
            for beside in {(y + 1, x), (y, x + 1)} & places:
                assert drawn[4 * y, 4 * x].tolist() != drawn[4 * beside[0], 4 * beside[1]].tolist()

    @pytest.mark.parametrize("size", [64, 1024])
    def test_small_nuclei_of_large_images_keep_their_outlines(self, size: int) -> None:
        labels = square((size // 2, size // 2), 6, shape=(size, size))
        image = pictures.for_display(np.full((size, size), 9, np.uint8))
        assert max(image.shape) == round(pictures.CELL * DPI)
        drawn = pictures.outlined(image, labels)
        assert (drawn != drawn[0, 0]).any(axis=2).sum() >= 4

    @pytest.mark.parametrize(
        ("image", "size"),
        [
            (np.zeros((20, 40), np.uint8), (256, 512)),
            (np.full((40, 20, 3), 60_000, np.uint16), (512, 256)),
            (np.arange(1200 * 600, dtype=np.uint16).reshape(1200, 600), (512, 256)),
            (np.full((1, 1), 7, np.uint8), (512, 512)),
        ],
    )
    def test_any_image_is_displayed_as_8_bit_colour_of_one_size(
        self, image: NDArray[np.uint16], size: tuple[int, int]
    ) -> None:
        shown = pictures.for_display(image)
        assert shown.shape == (*size, 3)
        assert shown.dtype == np.uint8

    def test_the_contrast_of_a_dark_image_is_stretched_to_the_full_range(self) -> None:
        shown = pictures.for_display(np.tile(np.arange(100, 140, dtype=np.uint16), (40, 1)))
        assert (shown.min(), shown.max()) == (0, 255)

    def test_labels_of_another_size_are_refused(self) -> None:
        panel = Panel(np.zeros((32, 48), np.uint8), square((0, 0), 4), np.zeros((32, 47), int), "sample a")
        with pytest.raises(DataError, match=r"'sample a'.*\(32, 48\).*\(32, 47\)"):
            panels([panel], title="", one="nucleus", many="nuclei")

    def test_no_images_are_refused(self) -> None:
        with pytest.raises(DataError, match="at least one image"):
            panels([], title="", one="nucleus", many="nuclei")

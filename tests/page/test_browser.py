"""The page in Chromium, as a biologist uses it: drop, look, move a slider, take along, and the wrong file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.page.conftest import Client
from tests.stages.bright_model import disc_image

pytestmark = pytest.mark.slow

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
AMBER = (255, 176, 0)

DROP = """([name, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name));
  const dropped = { dataTransfer: data, bubbles: true, cancelable: true };
  document.querySelector("#frame").dispatchEvent(new DragEvent("drop", dropped));
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser of this machine; tests are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; CHROMIUM names another")
    with playwright.sync_playwright() as running:
        try:
            browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        except playwright.Error as error:
            pytest.skip(f"{CHROMIUM} does not start here: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any, page: Client) -> Iterator[Any]:
    """The page, loaded; no error may reach the console, but those of refused requests."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened, errors = context.new_page(), []
    opened.set_default_timeout(60_000)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.on(
        "request",
        lambda asked: errors.append(asked.url) if not asked.url.startswith((page.url, "blob:", "data:")) else None,
    )
    opened.goto(page.url)
    opened.wait_for_selector("#examples img")
    yield opened
    context.close()
    assert [text for text in errors if "status of 4" not in text] == []


def drop(tab: Any, content: bytes, name: str) -> None:
    tab.evaluate(DROP, [name, list(content)])


def drop_discs(tab: Any) -> None:
    drop(tab, cv2.imencode(".png", disc_image())[1].tobytes(), "discs.png")
    tab.wait_for_selector("#results:not([hidden])")


def is_counted(tab: Any, text: str) -> None:
    tab.get_by_text(text, exact=True).and_(tab.locator("#count")).wait_for()


def wait_until(tab: Any, condition: Callable[[], bool]) -> None:
    """Waits until the page shows something; as long as a slow machine may take."""
    for _ in range(600):
        if condition():
            return
        tab.wait_for_timeout(50)
    assert condition()


def amber_pixels(tab: Any) -> int:
    """Pixels of the canvas in the colour of outlines."""
    tab.mouse.move(5, 5)
    image = cv2.imdecode(np.frombuffer(tab.locator("#canvas").screenshot(), np.uint8), cv2.IMREAD_COLOR)
    return int(np.count_nonzero(np.abs(image[..., ::-1].astype(int) - AMBER).max(axis=-1) < 40))


def test_dropped_image_is_outlined_counted_and_measured(tab: Any) -> None:
    assert "trained on" in tab.inner_text("#model")
    assert "Limits:" in tab.inner_text("#limits summary")
    drop_discs(tab)
    is_counted(tab, "3 nuclei")
    wait_until(tab, lambda: amber_pixels(tab) > 500)
    tab.uncheck("#outlines")
    wait_until(tab, lambda: amber_pixels(tab) == 0)
    tab.check("#outlines")
    assert tab.locator("#histogram rect").count() > 1
    assert tab.locator("#table tbody tr").count() == 3
    assert tab.locator("#canvas").get_attribute("aria-label") == "discs.png with 3 nuclei"


def test_slider_changes_outlines_without_the_network_and_reset_brings_them_back(tab: Any, page: Client) -> None:
    drop_discs(tab)
    calls = len(page.calls)
    slider = tab.locator("#control-min_area")
    slider.fill("150")
    is_counted(tab, "1 nucleus")
    assert "from what the network said before" in tab.inner_text("#status")
    tab.click("#reset")
    is_counted(tab, "3 nuclei")
    assert len(page.calls) == calls
    slider.focus()
    tab.keyboard.press("End")  # with the keyboard alone
    is_counted(tab, "0 nuclei")


def test_pointing_at_an_object_shows_its_figures_and_the_keyboard_reaches_each(tab: Any) -> None:
    drop_discs(tab)
    is_counted(tab, "3 nuclei")

    def point() -> bool:
        box = tab.locator("#canvas").bounding_box()
        scale = 0.98 * min(box["width"] / 70, box["height"] / 80)
        left, top = (box["width"] - 70 * scale) / 2, (box["height"] - 80 * scale) / 2
        tab.mouse.move(5, 5)
        tab.mouse.move(box["x"] + left + 40 * scale, box["y"] + top + 30 * scale)  # the middle of the second disc
        return tab.inner_text("#tip").splitlines()[:1] == ["Nucleus 2"]

    wait_until(tab, point)
    tab.locator("#canvas").focus()
    tab.keyboard.press("n")
    assert tab.inner_text("#tip").splitlines()[0] == "Nucleus 3"
    assert tab.locator("tr.picked").get_attribute("data-number") == "2"


def test_table_is_downloaded_as_it_is_shown(tab: Any, tmp_path: Path) -> None:
    drop_discs(tab)
    tab.locator("#control-min_area").fill("100")
    is_counted(tab, "2 nuclei")
    with tab.expect_download() as waiting:
        tab.click("#file-csv")
    waiting.value.save_as(tmp_path / "a.csv")
    assert waiting.value.suggested_filename == "discs-nuclei.csv"
    assert len(pd.read_csv(tmp_path / "a.csv")) == 2


def test_wrong_file_is_told_in_one_sentence_and_what_was_there_goes(tab: Any, page: Client) -> None:
    drop_discs(tab)
    drop(tab, b"no image at all", "notes.txt")
    tab.wait_for_selector("#message:not([hidden])")
    assert tab.inner_text("#message").startswith("notes.txt: not a readable image")
    for hidden in ("#results", "#choices"):
        assert not tab.is_visible(hidden)
    wait_until(tab, lambda: amber_pixels(tab) == 0)
    wait_until(tab, lambda: not list(page.folder.iterdir()))
    drop_discs(tab)
    is_counted(tab, "3 nuclei")
    assert not tab.is_visible("#message")


def test_file_whose_pixels_are_broken_shows_nothing_of_the_image_before(tab: Any) -> None:
    drop_discs(tab)
    whole = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8))[1].tobytes()
    drop(tab, whole[: len(whole) // 2], "half.png")
    tab.wait_for_selector("#message:not([hidden])")
    assert tab.inner_text("#message").startswith("half.png: ")
    wait_until(tab, lambda: not tab.is_visible("#results"))
    wait_until(tab, lambda: amber_pixels(tab) == 0)


def test_all_columns_of_the_table_are_seen_where_a_channel_has_a_long_name(tab: Any, tmp_path: Path) -> None:
    channels, names = np.stack([disc_image()] * 2), ["membrane", "Hoechst 33342, exposure_of_40_ms"]
    tifffile.imwrite(tmp_path / "a.ome.tif", channels, metadata={"axes": "CYX", "Channel": {"Name": names}})
    drop(tab, (tmp_path / "a.ome.tif").read_bytes(), "a.ome.tif")
    tab.wait_for_selector("#results:not([hidden])")
    assert "Hoechst" in tab.inner_text("#table thead")
    assert tab.locator("#table").evaluate("one => one.scrollWidth <= one.clientWidth")


def test_example_is_taken_with_a_click_and_images_are_deleted_when_the_tab_closes(tab: Any, page: Client) -> None:
    tab.click("#examples button")
    tab.wait_for_selector("#results:not([hidden])")
    assert len(list(page.folder.iterdir())) == 1
    tab.goto("about:blank")
    wait_until(tab, lambda: not list(page.folder.iterdir()))


def test_what_pages_are_is_chosen_where_the_file_does_not_say_it(tab: Any, tmp_path: Path) -> None:
    images = np.stack([disc_image(), np.zeros_like(disc_image())])
    tifffile.imwrite(tmp_path / "plain.tif", images, photometric="minisblack", metadata=None)
    drop(tab, (tmp_path / "plain.tif").read_bytes(), "plain.tif")
    is_counted(tab, "3 nuclei")
    assert "They are taken for channels" in tab.inner_text("#note")
    tab.select_option("#choice-axes", label="Times")
    tab.get_by_text("They are taken for times", exact=False).wait_for()
    tab.select_option("#choice-time", label="Time 1")
    is_counted(tab, "0 nuclei")
    drop_discs(tab)
    assert tab.locator("#choice-axes").count() == 0

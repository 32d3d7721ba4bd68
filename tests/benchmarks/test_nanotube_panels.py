"""The command that counts candidates where there are no nanotubes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import nanotube_panels
import numpy as np
import pytest


def test_candidates_are_counted_in_simulated_fields_and_in_those_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    field = np.full((96, 160), 20, np.uint8)
    field[47:50, 10:150] = 200
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), field)
    asked = ["--detector", "filter", "--empty", "simulated", "--empty", str(tmp_path), "--most", "1"]
    monkeypatch.setattr(sys, "argv", ["nanotube_panels.py", *asked])
    nanotube_panels.main()
    simulated, folder = capsys.readouterr().out.splitlines()
    assert re.match(r"filter on simulated: \d candidates in 1 images, \d\.0 each, ", simulated)
    assert folder.endswith(": 1 candidates in 1 images, 1.0 each, 65.1 per megapixel")

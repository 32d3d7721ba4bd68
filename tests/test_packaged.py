from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nanonuclei import packaged

RECEIPT = '[tool]\nrequirements = [{ name = "nanonuclei", extras = ["page", "ray"], directory = "/a/clone" }]\n'


@pytest.mark.parametrize(
    ("receipt", "extras"),
    [(RECEIPT, "page,platform,ray,train"), ("[tool]\nrequirements = 3\n", "platform,train"), ("[", "platform,train")],
    ids=["with extras", "of another form", "damaged"],
)
def test_a_tool_is_installed_anew_with_the_extras_that_it_has(
    receipt: str, extras: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv-receipt.toml").write_text(receipt)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(packaged, "CLONE", tmp_path / "nowhere")
    monkeypatch.setattr(packaged, "_source", lambda: "file:///a/clone")
    assert packaged.how_to_install("train,platform") == f'uv tool install --force "/a/clone[{extras}]"'

"""Mistakes at commands that keep, serve and describe models, and the line that tells each."""

from __future__ import annotations

MISTAKES = {
    "truth": ("promote nuclei --rollback perhaps", "promote: --rollback: must be true or false, got 'perhaps'"),
    "promoted run": ("promote nuclei --run abcd1234", "no run 'abcd1234' at "),
    "promoted name": ("promote nuclei --model nucleii", "no model 'nucleii'. Did you mean nuclei?"),
    "task of a promoted model": ("promote nanotubes --model nuclei", "nuclei is a model for nuclei, not for nanotubes"),
    "task of a registered champion": (
        "promote nanotubes --model models:/nuclei@champion",
        "Error: models:/nuclei@champion is a model for nuclei, not for nanotubes. Promote it as nuclei",
    ),
    "task of a registered version": (
        "promote nuclei --model models:/nanotubes/1",
        "Error: models:/nanotubes/1 is a model for nanotubes, not for nuclei. Promote it as nanotubes",
    ),
    "task of a logged model": (
        "promote nuclei --model models:/m-0123",
        "Error: models:/m-0123 is a model for nanotubes, not for nuclei. Promote it as nanotubes",
    ),
    "task of a run's model": (
        "promote nuclei --model 00000000000000000000000000000002",
        "Error: 00000000000000000000000000000002 is a model for nanotubes, not for nuclei. Promote it as nanotubes",
    ),
    "nothing to roll back": ("promote nuclei --rollback", "there are no runs here"),
    "first champion to roll back": ("promote nuclei --rollback", "version 1 of nuclei is the first champion, there is"),
    "images that a champion is compared on": (
        "promote nuclei --model nuclei",
        "this needs the images of dsb2018, but data/dsb2018/stage1_train.zip is missing",
    ),
    "shipped run": ("ship --run abcd1234", "no run 'abcd1234' at "),
    "name of a shipped model": ("ship --run abcd1234 --name a/b", "as the name of one folder, got 'a/b'"),
    "name of a lineage": ("lineage nucleii", "no model 'nucleii'. Did you mean nuclei?"),
    "run of a lineage": ("lineage abcd1234", "no run 'abcd1234' at "),
    "model to ship": ("ship --model nuclei", "ship takes the model of a run, a run's id or models:/NAME@ALIAS"),
    "logged model that is not there": ("lineage models:/m-123", "no model 'models:/m-123' at sqlite:///"),
    "format of a package": ("export --to onnx --output new.zip", "unknown format 'onnx'. Known: bioimageio."),
    "licence of a package": ("export --output new.zip --licence CC-BY4", "got 'CC-BY4'. Did you mean CC-BY-4.0?"),
    "existing package": ("export --output pictures/a.zip", "a new file, but pictures/a.zip exists"),
    "model to serve": ("serve --model nuclei", "serve takes a registered model, models:/NAME@ALIAS"),
    "runs to serve from": ("serve --model models:/nuclei@champion", "there are no runs here"),
    "whether to clean": ("clean --apply perhaps", "perhaps"),
}
"""The words of a command, and what its error says."""

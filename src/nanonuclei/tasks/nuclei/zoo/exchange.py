"""What other tools are told of a network that finds nuclei."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nanonuclei.imaging.sizing.diameters import WELL_SEEN
from nanonuclei.imaging.sizing.estimate import OCTAVES
from nanonuclei.tasks.exchange import Channel, Cite, Described, Exchange, Operator, Output, Sizes
from nanonuclei.tasks.nuclei.config import NucleiExperiment
from nanonuclei.tasks.nuclei.reader import SLIVER
from nanonuclei.tasks.nuclei.score import METRIC_NAMES
from nanonuclei.tasks.nuclei.zoo.fiji import MACRO, fiji_macro
from nanonuclei.tasks.nuclei.zoo.qupath import SCRIPT, qupath_script

READ_OUT = (
    "nanonuclei.errors",
    "nanonuclei.imaging.types",
    "nanonuclei.imaging.instances",
    "nanonuclei.imaging.distances",
    "nanonuclei.imaging.postprocess",
)
"""What the read-out imports, each after those that it imports."""

CITES = {
    "dsb2018": Cite(
        "Caicedo, J.C. et al. Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl. Nature "
        "Methods 16, 1247-1253 (2019)",
        "10.1038/s41592-019-0612-7",
    )
}
"""Dataset to the work that describes it."""


class NucleiExchange(Exchange):
    """A U-Net: scores per pixel, and nuclei read off them."""

    config: NucleiExperiment
    metric_names = METRIC_NAMES

    def described(self, files: Mapping[str, Path], num_channels: int) -> Described:
        """Returns what the U-Net takes and answers.

        Args:
            files: Of the stored model, by name.
            num_channels: Of the network's answer.
        """
        config, step = self.config, self.config.network.step
        num_classes = num_channels - config.target.diameter
        foreground = Channel("foreground", 0, "same" if num_classes == 1 else "complement")
        with_core = num_classes == 3
        core = Channel("core" if with_core else "foreground again", 1 if with_core else 0, "same")
        if not with_core:
            core = Channel(core.name, 0, foreground.form)
        diameter = Channel("diameter in px", num_channels - 1, "power", OCTAVES)
        channels = (foreground, core, *([diameter] if config.target.diameter else []))
        settings = {
            "with_core": with_core,
            "sliver": SLIVER,
            **{name: value for name, value in config.instances.model_dump().items() if name != "tune"},
        }
        operator = Operator(
            module="nanonuclei.tasks.nuclei.zoo.read_out",
            name="ReadOut",
            inlined=READ_OUT,
            only_types=("nanonuclei.config.pixels",),
            settings=settings,
            channels=("number of the nucleus", "score of the nucleus", *(one.name for one in channels[2:])),
            packages=("numpy", "opencv-python-headless", "scipy", "scikit-image"),
        )
        cite = CITES.get(config.data.dataset)
        return Described(
            colours=("red", "green", "blue"),
            sizes=Sizes(2 * step, step),
            output=Output("objects", "Scores of pixels, and after the read-out the nuclei", channels, operator),
            structures=("nuclei",),
            kind="instance segmentation",
            advice=self._advice(),
            cites=(cite,) if cite else (),
            files={MACRO: fiji_macro(config.instances), SCRIPT: qupath_script(config.instances)},
        )

    def _advice(self) -> tuple[str, ...]:
        windows = self.config.windows
        best = windows.best_diameter
        low, high = (round(share * best) for share in WELL_SEEN)
        sizes = (
            f"Nuclei are found best with a diameter of about {best:g} px, and well from {low} to {high} px. The "
            "program of this model estimates the diameter and shows the image again in a better size; a tool of others "
            "shows it once, as it is: scale images with smaller or larger nuclei first."
            if windows.diameter == "auto"
            else "Images are shown to the network once, as they are."
        )
        views = (
            f"The scores that are told were measured with {windows.num_views} views of each image; a tool of others "
            "looks once."
        )
        return (sizes, views) if windows.num_views > 1 else (sizes,)

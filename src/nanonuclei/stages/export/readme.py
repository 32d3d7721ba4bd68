"""The text of a package: what somebody must know before using the model in another tool, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten
from nanonuclei.config.shared import NormalizeConfig
from nanonuclei.report.card import weights_licence
from nanonuclei.serving.shipped.card import making, scores_table
from nanonuclei.serving.shipped.provenance import SCORED_IN, Provenance
from nanonuclei.stages.export.contents import OPERATOR, Contents
from nanonuclei.stages.export.request import Publication
from nanonuclei.tasks import create_reader
from nanonuclei.tasks.exchange import Described

READ_OUT = ("normalize.", "windows.", "instances.", "tubes.", "reading.", "network.")
"""Heads of the settings that the text lists."""


def readme(
    contents: Contents,
    config: ExperimentConfig,
    *,
    publication: Publication,
    provenance: Provenance | None,
    cautions: Sequence[str],
    metric_names: Mapping[str, str],
) -> str:
    """Returns the text.

    Args:
        contents: The files.
        config: The model's experiment.
        publication: Authors and licence.
        provenance: What made the model; None where nothing is known.
        cautions: What a model of this task must not be trusted with.
        metric_names: The metrics that are shown, in order, by what people call them; all where empty.
    """
    described = contents.described
    shown = {path: value for path, value in flatten(config).items() if path.startswith(READ_OUT)}
    parts = [
        f"# nanonuclei {config.task}",
        f"A network that finds {' and '.join(described.structures) or config.task} in images of 2D microscopy, written "
        "by `nanonuclei export`.",
        "## Use",
        f"```\npip install {_packages(described)}\nbioimageio test PACKAGE.zip\n```",
        _images(described),
        _scaling(config.normalize),  # type: ignore[attr-defined]
        "\n".join(f"* {line}" for line in described.advice),
        "## What it answers",
        _output(described),
        *_operator(described),
        *_scripts(described),
        *_left_out(contents.left_out),
        "## Licence",
        f"{publication.licence} by {', '.join(publication.authors) or 'authors who are not told'}."
        if publication.licence
        else "The one who publishes this package has not told its licence: ask before you use it.",
        *_made(config, provenance),
        "## Validation",
        *_validation(provenance, metric_names, choices=create_reader(config).choices),
        "Compare the answers with your own labels before you trust them: count objects, and match those that overlap "
        "by more than half (IoU 0.5) with labels drawn by hand in a few fields of view that you did not look at "
        "before.",
        "## Limits",
        "\n".join(f"* {line}" for line in cautions),
        "## Settings",
        "```\n" + "\n".join(f"{path}={value}" for path, value in shown.items()) + "\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _packages(described: Described) -> str:
    """Returns what `bioimageio test` needs: its own program, and what the read-out imports."""
    operator = described.output.operator
    own = ("'bioimageio.core[onnx]==0.11.0'", "'pydantic<2.14'")
    return " ".join([*own, *(operator.packages if operator else ())])


def _images(described: Described) -> str:
    sizes = described.sizes
    channels = (
        "one grey channel; of a colour image take each pixel's brightest colour"
        if len(described.colours) == 1
        else f"the channels {', '.join(described.colours)}; repeat a grey image three times"
    )
    return (
        f"Images have {channels}. Height and width are {sizes.least} px or more in steps of {sizes.step} px. Mirror a "
        "smaller or other image at its lower and right border."
    )


def _scaling(scaling: NormalizeConfig) -> str:
    if scaling.kind != "percentile":
        return "Grey values are divided by 255: convert images to 8 bit first."
    return (
        f"Grey values are scaled so that the percentiles {scaling.low:g} and {scaling.high:g} of the **whole image**, "
        "all channels together, become 0 and 1, and are cut there. The package tells tools to do so; the network "
        "itself does not. A tool that cuts an image into tiles first and scales each tile changes the answers: a tile "
        "without objects gets the full contrast, and noise becomes objects. Where your tool scales tiles, scale the "
        "whole image before and switch its own scaling off, or choose tiles as large as the image. An image whose two "
        "percentiles are equal is black here; the program of this model takes its least and largest value instead."
    )


def _output(described: Described) -> str:
    output, stride = described.output, described.sizes.stride
    names = ", ".join(channel.name for channel in output.channels)
    then = f" After the read-out: {', '.join(output.operator.channels)}." if output.operator else ""
    scale = f" One pixel of the answer stands for {stride} x {stride} px." if stride > 1 else ""
    return f"`{output.name}`: {output.description}. Channels: {names}.{then}{scale}"


def _operator(described: Described) -> list[str]:
    operator = described.output.operator
    if operator is None:
        return []
    settings = ", ".join(f"{name}={value}" for name, value in operator.settings.items())
    return [
        "## Read-out",
        f"`{OPERATOR}` holds the model's own read-out as the class `{operator.name}` (operator `custom` of the "
        f"format), with {settings}. It runs in Python with {', '.join(operator.packages)}, and not in tools of Java: "
        "these get the scores. Read the file before you let a tool run it.",
    ]


def _scripts(described: Described) -> list[str]:
    if not described.files:
        return []
    names = ", ".join(f"`{name}`" for name in described.files)
    return [
        f"For tools that cannot run it there are {names}: simpler read-outs of the scores, in Fiji (`.ijm`) and QuPath "
        "(`.groovy`). Their steps were compared in Python with the model's read-out; Fiji and QuPath themselves were "
        "not run. Their answers are close to the model's, not equal."
    ]


def _left_out(left_out: Sequence[str]) -> list[str]:
    return ["## Left out", "\n".join(f"* {line}" for line in left_out)] if left_out else []


def _made(config: ExperimentConfig, made: Provenance | None) -> list[str]:
    if made is None:
        return [
            "## How it was made",
            f"Nothing is recorded of how it was made but its settings; its data set is `{config.data.dataset}`.",
            weights_licence(flatten(config)),
        ]
    data = made.data
    counts = ", ".join(f"{number} {split}" for split, number in data.images.items())
    simulated = "" if data.real else " **The images are simulated: on images of a microscope its answers are guesses.**"
    return [
        "## Data and licence",
        f"Trained on {data.name}: {counts} images, split by field of view, fingerprint `{data.split}`.{simulated} "
        f"{data.licence}.",
        "## Weights and licence",
        weights_licence(flatten(config)),
        "## How it was made",
        making(made.training, made.half_difference),
    ]


def _validation(made: Provenance | None, names: Mapping[str, str], *, choices: str) -> list[str]:
    if made is None or not made.scores:
        return ["Scores on test images are not known."]
    precision = made.training.hardware.get(SCORED_IN, "float32")
    table = scores_table(made.scores, names or {score.metric: score.metric for score in made.scores})
    return [
        f"Scores on the test images, by the program of this model in {precision}, with 95 % bootstrap intervals over "
        f"fields of view. {choices}",
        table,
    ]

"""What decides a result of the nanotubes task: the classifier of windows, its training, the scan, the read-out."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nanonuclei.config.channels import Channel
from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.pixels import ENCODER_DEPTH, JitterConfig
from nanonuclei.config.section import Fraction, Positive, Role, Section
from nanonuclei.config.shared import IMAGENET_ALPHAS, InferenceConfig, TrainConfig
from nanonuclei.config.tune import TuneConfig
from nanonuclei.errors import similar_name
from nanonuclei.tasks.nanotubes.data_config import NanotubeDataConfig
from nanonuclei.tasks.nanotubes.trunks import EXAMPLES, trunk_strides

Limit = Fraction | Literal["auto"]
"""A threshold on scores; auto: chosen on the validation images at the end of the training, and stored as a number."""


LINE = "line"
"""Value of `network.answer` for a network that marks centre lines."""

ALL = "all"
"""Value of `network.learns_from` for the whole trunk."""


class WindowAugmentConfig(JitterConfig):
    """Random changes of a training patch. None resamples it: a line of one pixel stays one.

    Attributes:
        mixup: Chance that a patch is laid over another one: each pixel is the brighter of the two, and the result is
            positive where either is. Their mean would dim a thin line to a share of its contrast.
    """

    flip: bool
    turn: bool
    mixup: Fraction


class ClassifierConfig(Section):
    """An image network of Keras, and what is put on it: a head that classifies windows, or a U-Net that marks lines.

    Attributes:
        answer: `window`: the network up to one of its layers, and a head, score windows | `line`: a U-Net over it
            scores each pixel, whether it lies on the centre line of a nanotube.
        kind: The image network.
        trunk: The layer whose answer the head reads; it sets how far a score looks, and the stride of the scan.
        learns_from: With `train.encoder` unfrozen, the layer that learning begins at, or `all`.
        head: `average`: the mean of the features over the window | `flatten`: a weight for every place in it.
        hidden: Units between the features and the score; 0: none.
        depth: With `answer` line, how often the U-Net halves the image.
        base_filters: With `answer` line, filters of its decoder at full size; twice as many with each halving.
    """

    role: ClassVar[Role | None] = Role.NETWORK
    answer: Literal["window", "line"]
    kind: Literal["vgg16", "mobilenetv2", "resnet50", "efficientnetlite0"]
    trunk: Annotated[str, Field(min_length=1)]
    learns_from: Annotated[str, Field(min_length=1)]
    alpha: Annotated[float, Field(gt=0.0, le=4.0)]
    weights: Annotated[str, Field(min_length=1)]
    norm_momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    head: Literal["average", "flatten"]
    hidden: Annotated[int, Field(ge=0, le=8192)]
    depth: Annotated[int, Field(ge=1, le=ENCODER_DEPTH)]
    base_filters: Annotated[int, Field(ge=1, le=256)]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]

    @model_validator(mode="after")
    def _layers_are_of_their_network(self) -> Self:
        known = trunk_strides(self.kind)
        for name, layer in (("trunk", self.trunk), ("learns_from", self.learns_from)):
            if self.answer == "window" and layer not in known and (name, layer) != ("learns_from", ALL):
                near = similar_name(layer, known)
                raise ValueError(
                    f"{name} must be a layer of {self.kind}, such as {EXAMPLES[self.kind]}, got {layer!r}"
                    + (f". {near}" if near else "")
                )
        return self

    @model_validator(mode="after")
    def _weights_exist(self) -> Self:
        if self.kind == "mobilenetv2" and self.weights == "imagenet" and self.alpha not in IMAGENET_ALPHAS:
            raise ValueError(
                f"alpha must be one of {', '.join(map(str, IMAGENET_ALPHAS))} with weights=imagenet, "
                f"got {self.alpha:g}. Take one of them, or weights=none"
            )
        return self


class MarkingConfig(Section):
    """What a network that marks lines (`network.answer` line) is shown; each chance is that of a training patch.

    Attributes:
        narrowest: Nanotubes are shown with widths from this, px,
        broadest: up to this.
        near: Patches that hold a nanotube, where the image has one.
        simulated: Patches of simulated images, beside those of the dataset.
        empty: Patches that show noise, gradients and dust alone.
        line_weight: Weight of a pixel on a centre line; the ground has 1.
        invert: Shown as a negative.
        other_stain: With blobs of another stain laid over.
        blur: Out of focus.
        shade: Unevenly lit.
        burnt: With arrows, bars, frames or letters of a figure burnt in.
        camera: With noise of photons and of the camera.
        compress: Passed through JPEG.
        stretch: Contrast stretched to the patch's own range.
    """

    role: ClassVar[Role | None] = Role.TRAINING
    narrowest: Annotated[float, Field(ge=0.5, le=20.0)]
    broadest: Annotated[float, Field(ge=0.5, le=40.0)]
    near: Fraction
    simulated: Fraction
    empty: Fraction
    line_weight: Annotated[float, Field(ge=1.0, le=100.0)]
    invert: Fraction
    other_stain: Fraction
    blur: Fraction
    shade: Fraction
    burnt: Fraction
    camera: Fraction
    compress: Fraction
    stretch: Fraction

    @model_validator(mode="after")
    def _widths_in_order(self) -> Self:
        if self.narrowest > self.broadest:
            raise ValueError(
                f"narrowest must be at most broadest, got narrowest={self.narrowest:g} and broadest={self.broadest:g}"
            )
        return self


class WindowLossConfig(Section):
    """What is minimised: the binary cross-entropy against labels drawn in by `label_smoothing` from 0 and 1."""

    role: ClassVar[Role | None] = Role.LOSS
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]


class WindowTrainConfig(TrainConfig):
    """The optimisation.

    Attributes:
        patch_size: Side of the window that a score is for; the network sees a margin about it beside.
        tile_windows: Windows along each side of a training tile, a stride apart: the network runs once for all of them.
        balance: 0: windows are drawn as often as they are; 1: positive and negative ones equally often; the others of
            their tiles come along.
    """

    tile_windows: Annotated[int, Field(ge=1, le=256)]
    monitor: Literal["val/loss", "val/accuracy"]


class WindowTuneConfig(TuneConfig):
    """The search for better settings.

    Attributes:
        metric: Of windows; the area under precision and recall depends on no threshold.
    """

    metric: Literal["val/loss", "val/accuracy", "val/pr_auc"]


class ScanConfig(InferenceConfig):
    """How a full image is scanned: the trunk runs once over each tile, and every window is read off its features.

    Attributes:
        tile: Largest side of what the network sees at once, margins included, px.
    """

    tile: Annotated[int, Field(ge=64, le=8192)]


class TubesConfig(Section):
    """How candidates are read off a score map and the image.

    Attributes:
        window_threshold: Score from which a window counts as positive; candidates lie in such windows.
        min_score: Score of a candidate from which it is reported.
        lines: Where candidates are read from: `image`: crests of the image where scores are high | `map`: the scores of
            pixels themselves, which takes `network.answer` line | `both`: crests, and of the map what is `alone` long.
        alone: With `lines` both, least length of a line that only the map shows, or that does not join two cells, px:
            the fibres that a cell leaves behind, and its filopodia, are shorter and end free.
        gap: With `lines` map or both, longest gap over which lines that go on in each other are joined, px.
        width: Full width at half maximum of nanotubes, px; auto: lines of 1 to 9 px are looked for. Where it is above
            2.5, the image is reduced until they are 2.5 px wide, and what is in px below, but for `min_length`, is in
            px of the reduced image.
        narrow: Standard deviation of the narrowest line that is looked for, px.
        broad: Of the broadest.
        ridge: Ridge strength that a line reaches somewhere, in standard deviations of the noise.
        contrast: Median contrast of a line to its surroundings, share of the range of the normalised image.
        kept: Share of its contrast that a line keeps as far as it is followed.
        nuclei: With `predict`, channel of the nuclei, by name or index, by which cells are counted; `none`: by their
            light. With `evaluate` it is `data.channels.nuclei`.
        body_radius: What holds a disc of this radius is a cell and no line, px.
        min_length: Shorter candidates are dropped, px.
        max_width: Wider crests of the image are dropped, full width at half maximum, px; with `width` auto they are
            looked for at half the size too, and may be twice as wide there. What only the map shows has no such limit.
        min_straightness: Distance of the ends / length; the more crooked are dropped.
        joins: Which candidates are kept: all | cell: those that meet a cell | two: those that join two cells |
            slender: those that join two cells or are `slender` times as long as wide.
        slender: Length / width from which a line need not join two cells.
    """

    role: ClassVar[Role | None] = Role.READING
    window_threshold: Limit
    min_score: Limit
    lines: Literal["image", "map", "both"]
    alone: Annotated[float, Field(ge=0.0, le=10_000.0)]
    gap: Annotated[float, Field(ge=0.0, le=1000.0)]
    width: Annotated[float, Field(ge=1.0, le=100.0)] | Literal["auto"]
    narrow: Annotated[float, Field(ge=0.5, le=20.0)]
    broad: Annotated[float, Field(ge=0.5, le=20.0)]
    ridge: Positive
    contrast: Fraction
    kept: Annotated[float, Field(gt=0.0, le=1.0)]
    nuclei: Channel
    body_radius: Annotated[int, Field(ge=2, le=50)]
    min_length: Annotated[float, Field(ge=0.0, le=1000.0)]
    max_width: Positive
    min_straightness: Fraction
    joins: Literal["all", "cell", "two", "slender"]
    slender: Positive

    @model_validator(mode="after")
    def _limits_are_in_order(self) -> Self:
        if self.narrow > self.broad:
            raise ValueError(f"narrow must be at most broad, got narrow={self.narrow} and broad={self.broad}")
        return self


class NanotubeExperiment(ExperimentConfig):
    """Everything that decides the result of the nanotubes task."""

    task: Literal["nanotubes"]
    data: NanotubeDataConfig
    augment: WindowAugmentConfig
    network: ClassifierConfig
    marking: MarkingConfig
    loss: WindowLossConfig
    train: WindowTrainConfig
    windows: ScanConfig
    tubes: TubesConfig
    tune: WindowTuneConfig

    def _check_windows(self) -> None:
        window, stride = self.train.patch_size, trunk_strides(self.network.kind)[self.network.trunk]
        if window % stride:
            raise ValueError(
                f"train.patch_size must be a multiple of {stride}, the stride of network.trunk={self.network.trunk}, "
                f"got {window}. Take {max(1, window // stride) * stride} or {(window // stride + 1) * stride}"
            )

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.train.encoder != "unfrozen" and self.network.weights == "none":
            raise ValueError(
                f"random weights must not be frozen: train.encoder must be unfrozen with network.weights=none, "
                f"got {self.train.encoder}"
            )
        if self.network.answer != LINE:
            self._check_windows()
        if self.tubes.lines != "image" and self.network.answer != LINE:
            raise ValueError(
                f"lines are read off a map that marks them: tubes.lines={self.tubes.lines} needs network.answer=line, "
                f"got {self.network.answer}. Take tubes.lines=image"
            )
        if self.network.answer == LINE:
            step = 2**self.network.depth
            for name, size in (("train.patch_size", self.train.patch_size), ("windows.tile", self.windows.tile)):
                if size % step:
                    raise ValueError(
                        f"{name} must be a multiple of 2**network.depth = {step} with network.answer=line, got {size}. "
                        f"Take {max(step, size // step * step)} or {(size // step + 1) * step}"
                    )
        if self.network.learns_from != "all" and self.network.weights == "none":
            raise ValueError(
                f"random weights must all learn: network.learns_from must be all with network.weights=none, "
                f"got {self.network.learns_from}"
            )
        return self

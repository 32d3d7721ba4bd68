"""A macro for Fiji that reads nuclei off the maps of a network, for tools that cannot run the read-out itself."""

from __future__ import annotations

from nanonuclei.config.pixels import InstancesConfig

MACRO = "watershed.ijm"
"""Name of the macro's file."""

LEAST_CORE = 3
"""px; smaller cores are specks."""


def fiji_macro(config: InstancesConfig) -> str:
    """Returns the macro with the thresholds of a model.

    It needs nothing but what ImageJ itself holds. The tests take the same steps in Python.
    """
    return with_thresholds(_MACRO, config)


def with_thresholds(text: str, config: InstancesConfig) -> str:
    """Returns a script with the thresholds of a model in the place of their names between ``@``."""
    values = {
        "THRESHOLD": f"{config.threshold:g}",
        "SEED": f"{config.seed_threshold:g}",
        "AREA": str(max(1, config.min_area)),
        "SCORE": f"{config.min_score:g}",
        "CORE": str(LEAST_CORE),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


_MACRO = """\
// Reads nuclei off the maps of a network: a stack of 32 bit whose first slice is the score of the foreground and
// whose second slice is the score of the cores of nuclei, both in 0..1. Open that stack, then run this macro.
// The result is the image "nuclei": 0 is background, every other value one nucleus. One row of the table per particle.
// It is simpler than the model's own read-out: cores part touching nuclei by the lines halfway between them.
threshold = @THRESHOLD@;   // score from which on a pixel is foreground
seed = @SEED@;   // score from which on a pixel belongs to a core
least_core = @CORE@;   // px, smaller cores are specks
least_area = @AREA@;   // px, smaller nuclei are dropped
least_score = @SCORE@;   // mean score of the foreground, less sure nuclei are dropped

if (nImages == 0) exit("Open the maps first: a stack of two slices, foreground and core.");
if (nSlices < 2) exit("The maps must be a stack of two slices or more, foreground and core, got " + nSlices + ".");
setBatchMode(true);
maps = getImageID();
run("Options...", "iterations=1 count=1 black edm=Overwrite do=Nothing");   // white on black, results in place

// The foreground, its scores and its mask.
setSlice(1);
run("Duplicate...", "title=foreground");
run("Duplicate...", "title=mask");
setThreshold(threshold, 1000000000);
run("Convert to Mask");
run("Fill Holes");

// The cores: specks go, cores that a neck joins are parted.
selectImage(maps);
setSlice(2);
run("Duplicate...", "title=core");
setThreshold(seed, 1000000000);
run("Convert to Mask");
imageCalculator("AND", "core", "mask");
selectWindow("core");
run("Watershed");
run("Analyze Particles...", "size=" + least_core + "-Infinity pixel show=Masks");
rename("seeds");
run("Grays");

// Lines halfway between the cores cut the mask.
run("Voronoi");
setThreshold(1, 255);
run("Convert to Mask");
imageCalculator("Subtract", "mask", "seeds");

// Number the particles, then drop those whose score is low.
run("Clear Results");
run("Set Measurements...", "area mean redirect=foreground decimal=3");
selectWindow("mask");
run("Analyze Particles...", "size=" + least_area + "-Infinity pixel show=[Count Masks] display");
rename("nuclei");
kept = 0;
for (row = 0; row < nResults; row++) {
    if (getResult("Mean", row) < least_score) {
        changeValues(row + 1, row + 1, 0);
    } else {
        kept = kept + 1;
    }
}
run("Set Measurements...", "area mean redirect=None decimal=3");
close("foreground");
close("mask");
close("core");
close("seeds");
selectWindow("nuclei");
setBatchMode("exit and display");
print("nuclei: " + kept);
"""

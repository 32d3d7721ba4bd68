"""A script for QuPath that reads nuclei off the maps of a network, step by step as the macro for Fiji does."""

from __future__ import annotations

from nanonuclei.config.pixels import InstancesConfig
from nanonuclei.tasks.nuclei.zoo.fiji import with_thresholds

SCRIPT = "watershed.groovy"
"""Name of the script's file."""


def qupath_script(config: InstancesConfig) -> str:
    """Returns the script with the thresholds of a model."""
    return with_thresholds(_SCRIPT, config)


_SCRIPT = """\
// Reads nuclei off the maps of a network and adds them to the open image as detections.
// The maps are a TIFF stack of 32 bit, as large as the image: slice 1 is the score of the foreground, slice 2 that of
// the cores of nuclei, both in 0..1. Write the path of that file below, open the image, then run this script.
// It is simpler than the model's own read-out: cores part touching nuclei by the lines halfway between them.
import ij.IJ
import ij.ImagePlus
import ij.measure.Measurements
import ij.measure.ResultsTable
import ij.plugin.filter.ParticleAnalyzer
import ij.plugin.frame.RoiManager
import ij.process.Blitter
import ij.process.ByteProcessor
import ij.process.ImageProcessor
import qupath.imagej.tools.IJTools
import qupath.lib.objects.PathObjects
import qupath.lib.regions.ImagePlane

def path = '/path/to/maps.tif'
double threshold = @THRESHOLD@   // score from which on a pixel is foreground
double seed = @SEED@   // score from which on a pixel belongs to a core
double leastCore = @CORE@   // px, smaller cores are specks
double leastArea = @AREA@   // px, smaller nuclei are dropped
double leastScore = @SCORE@   // mean score of the foreground, less sure nuclei are dropped

def maps = IJ.openImage(path)
if (maps == null || maps.getStackSize() < 2) {
    throw new IllegalArgumentException('the maps must be a stack of two slices or more, foreground and core: ' + path)
}
IJ.run('Options...', 'iterations=1 count=1 black edm=Overwrite do=Nothing')   // white on black, results in place
def foreground = maps.getStack().getProcessor(1)
def core = maps.getStack().getProcessor(2)

ByteProcessor above(ImageProcessor scores, double least) {
    def mask = new ByteProcessor(scores.getWidth(), scores.getHeight())
    for (int place = 0; place < scores.getPixelCount(); place++) {
        mask.set(place, scores.getf(place) >= least ? 255 : 0)
    }
    return mask
}

// The foreground.
def mask = new ImagePlus('mask', above(foreground, threshold))
IJ.run(mask, 'Fill Holes', '')

// The cores: cores that a neck joins are parted, specks go.
def cores = new ImagePlus('core', above(core, seed))
cores.getProcessor().copyBits(mask.getProcessor(), 0, 0, Blitter.AND)
IJ.run(cores, 'Watershed', '')
def manager = new RoiManager(false)
ParticleAnalyzer.setRoiManager(manager)
def seeds = new ByteProcessor(cores.getWidth(), cores.getHeight())
def coreFinder = new ParticleAnalyzer(
    ParticleAnalyzer.ADD_TO_MANAGER, Measurements.AREA, new ResultsTable(), leastCore, Double.POSITIVE_INFINITY)
cores.getProcessor().setThreshold(255, 255, ImageProcessor.NO_LUT_UPDATE)
coreFinder.analyze(cores, cores.getProcessor())
seeds.setValue(255)
manager.getRoisAsArray().each { seeds.fill(it) }

// Lines halfway between the cores cut the mask.
def lines = new ImagePlus('lines', seeds)
IJ.run(lines, 'Voronoi', '')
for (int place = 0; place < seeds.getPixelCount(); place++) {
    if (lines.getProcessor().get(place) > 0) {
        mask.getProcessor().set(place, 0)
    }
}

// Every particle that is large and sure enough is a nucleus.
manager = new RoiManager(false)
ParticleAnalyzer.setRoiManager(manager)
def finder = new ParticleAnalyzer(
    ParticleAnalyzer.ADD_TO_MANAGER, Measurements.AREA, new ResultsTable(), leastArea, Double.POSITIVE_INFINITY)
mask.getProcessor().setThreshold(255, 255, ImageProcessor.NO_LUT_UPDATE)
finder.analyze(mask, mask.getProcessor())
def nuclei = []
manager.getRoisAsArray().each {
    foreground.setRoi(it)
    if (foreground.getStatistics().mean >= leastScore) {
        nuclei << PathObjects.createDetectionObject(
            IJTools.convertToROI(it, 0.0, 0.0, 1.0, ImagePlane.getDefaultPlane()))
    }
}
addObjects(nuclei)
println 'nuclei: ' + nuclei.size()
"""

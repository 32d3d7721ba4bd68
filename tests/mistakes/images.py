"""Mistakes at commands that read images, and the line that tells each."""

from __future__ import annotations

MISTAKES = {
    "pattern without quotes": (
        "predict pictures/a.png pictures/b.png",
        "predict has no place for 'pictures/b.png'. Put what holds spaces, or a pattern such as 'plates/*.tif', in ",
    ),
    "parameter that is lacking": ("correct pictures", "correct: needs --to, --output. `python -m nanonuclei correct"),
    "label with a registered model of a task without pictures": (
        "label --images pictures --output drawn --model models:/nuclei@champion",
        "but models:/nuclei@champion is a model of nuclei. Leave out the model, or name another one",
    ),
    "address of images to label": (
        "label --images https://host.invalid/a.zip --output new",
        "images must lie on this machine, but https://host.invalid/a.zip is an address. Download it first",
    ),
    "address of results to correct": ("correct http://host.invalid/a --to qupath --output new", "Download it first"),
    "address of weights": ("fetch weights --source https://host.invalid/a.whl", "Download it first, and name what"),
    "address of a model": ("predict pictures --model https://host.invalid/a", "model must lie on this machine, but "),
    "dataset": ("fetch dsb2017", "unknown dataset 'dsb2017'. Did you mean dsb2018"),
    "Kaggle without credentials": (
        "fetch dsb2018 --source kaggle",
        "Kaggle needs valid credentials: there are none. Put an API token from ",
    ),
    "server of a dataset": ("fetch dsb2018", "0354551efef351c1241da7c6d48cf938d76f02a.zip cannot be reached ("),
    "source of weights": ("fetch weights --source vgg17", "got 'vgg17'. Did you mean vgg16?"),
    "existing output": (
        "label --images pictures --output pictures",
        "a new or empty folder, but pictures exists",
    ),
    "source of a dataset": ("fetch mine --source nowhere.zip", "got 'nowhere.zip', which does not exist"),
    "annotations in place of images": (
        "fetch mine --source scratch/tune/old/keras-tuner/study.json",
        "study.json is a file of annotations. Put it into one folder with the images that it tells of",
    ),
    "annotations in place of images and masks": (
        "fetch dsb2018 --source scratch/tune/old/keras-tuner/study.json",
        "is a file of annotations. Put it into one folder with the images that it tells of, and name that. `",
    ),
    "annotations of no known kind": (
        "fetch tnt --source scratch/tune/old/keras-tuner/study.json",
        "study.json must be annotations of COCO, LabelMe or Label Studio, or centre lines, but is none of these",
    ),
    "one image in place of a folder": ("fetch mine-tnt --source pictures/a.png", "pictures/a.png is one image. Name"),
    "label with a model of a task without pictures": (
        "label --images pictures --output drawn --model nuclei",
        "but nuclei is a model of nuclei. Leave out the model, or name another one",
    ),
    "images without lines": (
        "fetch mine-tnt --source pictures",
        "must hold an image with centre lines that",
    ),
    "images without masks": ("fetch dsb2018 --source pictures", "must hold <id>/images/<id>.png with <id>/masks/*.png"),
    "lacking source of a dataset": ("fetch mine", "nanonuclei fetch mine --source FOLDER_OR_ZIP`"),
    "run to predict with": ("predict pictures --model abcd1234", "no run 'abcd1234' at "),
    "registered model to predict with": ("predict pictures --model models:/nuclei@champion", "there are no runs here"),
    "registered model without a version": (
        "predict pictures --model models:/nuclei",
        "must be named with an alias or a version, got 'models:/nuclei'. Such as models:/nuclei@champion",
    ),
    "results around the images": ("predict pictures --output .", "results need a folder of their own, but . holds"),
    "setting that no model has": ("predict pictures --model abcd1234 --set insta=1", "unknown setting 'insta'"),
    "text in place of an image": (
        "predict pictures/c.txt",
        "pictures/c.txt must be an image, a folder or a pattern",
    ),
    "predicted images": ("predict nowhere", "nowhere does not exist. Name a folder of images"),
    "model to predict with": ("predict pictures --model nucleii", "no model 'nucleii'. Did you mean nuclei?"),
    "setting of another task than the model's": (
        "predict pictures --model nanotubes --set instances.min_area=6",
        "unknown setting 'instances.min_area'. It is one of nuclei, not of nanotubes.",
    ),
    "output of a prediction by a run": (
        "predict pictures --model 00000000000000000000000000000003 --output pictures",
        "results are written to a new folder, but pictures exists.",
    ),
    "channel of a prediction by a run": (
        "predict pictures --model 00000000000000000000000000000003 --channel DAPI --output new",
        "pictures/photo.png: no channel 'DAPI'",
    ),
    "host of a page of a run": (
        "page --model 00000000000000000000000000000003 --host 192.0.2.1",
        "host must be an address of this machine, got '192.0.2.1'",
    ),
    "folder without a model": (
        "predict pictures --model pictures",
        "pictures is a folder without a model: config.yaml and network.onnx are not in it. ",
    ),
    "host of another machine": (
        "page --host 192.0.2.1",
        "host must be an address of this machine, got '192.0.2.1'",
    ),
    "value of a prediction by a run": (
        "predict pictures --model 00000000000000000000000000000003 --set windows.diameter=foo",
        "windows.diameter=foo: input should be a valid number, or 'auto' or 'none'.",
    ),
    "value of a prediction": (
        "predict pictures --set instances.threshold=7 --output new",
        "instances.threshold=7: input should be",
    ),
    "value of the page": ("page --set instances.threshold=7", "instances.threshold=7: input should be"),
    "setting of a model": ("predict pictures --set instances.treshold=1", "Did you mean instances.threshold"),
    "format": ("predict pictures --formats cvs", "Did you mean csv"),
    "prepared task": ("prepare nuclie", "Did you mean nuclei?"),
    "images of the pipeline": ("prepare nuclei", "the pipeline needs data/dsb2018, which is missing"),
    "address of the page": ("page --port many", "port must be a whole number from 0 to 65535, got 'many'"),
    "results to correct": ("correct nowhere --to fiji --output new", "nowhere"),
    "program to correct in": ("correct pictures --to imagej --output new", "imagej"),
    "missing images": ("label --images nowhere --output new", "but nowhere is not there"),
}
"""The words of a command, and what its error says."""

"""Mistakes of a first hour: each is one line that blames the right thing, within two seconds of processor time."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import ROOT

from nanonuclei.cli import _parser
from nanonuclei.config.params import flatten, load_experiment

BUDGET_SECONDS = 2.0
"""Processor time of a mistake on the machine where the slowest of them took 0.9 s."""
REFERENCE_SECONDS = 2.0
"""Processor time of `import mlflow` there: a slower machine is given as much more time as it takes longer for that."""

MISTAKES = {
    "stage": ("trian nuclei", "there is no stage 'trian'. Did you mean train?"),
    "parameter": ("train nuclei --recipee unet", "train has no parameter 'recipee'. Did you mean recipe?"),
    "weights of another task": (
        "train nuclei --dataset simulated --set network.weights=nanotubes",
        "network.weights must name a model of nuclei, but nanotubes is one of nanotubes",
    ),
    "name before what has none": ("compare --task nuclei", "compare takes task without a name. Leave out --task, give"),
    "parameter of another stage": ("explore nuclei --resume x", "explore has no parameter 'resume'. Known: "),
    "pattern without quotes": (
        "predict pictures/a.png pictures/b.png",
        "predict has no place for 'pictures/b.png'. Put what holds spaces, or a pattern such as 'plates/*.tif', in ",
    ),
    "settings without quotes": (
        "train nuclei --set train.epochs=2 seed=3",
        "train has no place for 'seed=3'. Put what holds spaces",
    ),
    "task": ("train nuclie", "Did you mean nuclei?"),
    "recipe": ("train nuclei --recipe unte", "no recipe at recipes/unte.yaml. Did you mean recipes/unet.yaml"),
    "recipe with another ending": ("train nuclei --recipe unet-tuned.yml", "Did you mean recipes/unet-tuned.yaml"),
    "settings in place of a recipe": (
        "train nuclei --recipe params.yaml",
        "must hold the settings that it changes, such as `train.epochs: 5`, but has a section nanotubes",
    ),
    "recipe that is no file of YAML": (
        "train nuclei --recipe pictures/a.png",
        "Error: recipe pictures/a.png must be a YAML mapping of settings",
    ),
    "recipe of another task": (
        "train nuclei --recipe vgg16-frozen",
        "recipe recipes/vgg16-frozen.yaml is for nanotubes, not for nuclei",
    ),
    "value": ("train nuclei --set train.epochs=two", "Error: setting: train.epochs=two: input should be"),
    "value that does not fit others": (
        "train nuclei --dataset simulated --set train.patch_size=100",
        "Error: setting: train.patch_size must be a multiple of",
    ),
    "section whose settings do not fit": (
        "train nuclei --dataset simulated --set data.split.train=0.9",
        "Error: setting: data.split: train + val + test must be 1",
    ),
    "setting of another task": (
        "train nuclei --set tubes.joins=all",
        "Error: unknown setting 'tubes.joins'. It is one of nanotubes, not of nuclei.",
    ),
    "weights that are missing": (
        "train nuclei --dataset simulated --set network.kind=mobilenetv2 --set network.weights=nix.h5",
        "network.weights must be imagenet, none, a model or a file that exists, got 'nix.h5'",
    ),
    "weights of nanotubes that are missing": (
        "train nanotubes --dataset simulated --set network.weights=nix.h5",
        "network.weights must be imagenet, none, a model or a file that exists, got 'nix.h5'",
    ),
    "weights that the network does not take": (
        "train nuclei --dataset simulated --set network.weights=pictures/a.png",
        "Leave it out, or set another network.kind, such as mobilenetv2",
    ),
    "weights of a search": (
        "tune nuclei --dataset simulated --set network.weights=edges",
        "network.weights must be imagenet, none or a file that exists, got 'edges'",
    ),
    "parameter that is lacking": ("correct pictures", "correct: needs --to, --output. `python -m nanonuclei correct"),
    "run that is lacking": ("evaluate", "evaluate: needs --run RUN_ID"),
    "truth": ("promote nuclei --rollback perhaps", "promote: --rollback: must be true or false, got 'perhaps'"),
    "setting": ("explore nuclei --set train.epoch=2", "Did you mean train.epochs or "),
    "resumed run": ("train nuclei --resume abcd1234", "no run 'abcd1234' at "),
    "scored run": ("evaluate --run abcd1234", "no run 'abcd1234' at "),
    "shipped model to score": ("evaluate --run nuclei", "nuclei is a model that comes along. Its scores stand in "),
    "split": ("evaluate --run abcd1234 --split tset", "unknown split 'tset'. Did you mean test?"),
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
    "registered weights of another task": (
        "train nuclei --dataset simulated --set network.weights=models:/nanotubes/1",
        "network.weights must name a model of nuclei, but models:/nanotubes/1 is one of nanotubes",
    ),
    "label with a registered model of a task without pictures": (
        "label --images pictures --output drawn --model models:/nuclei@champion",
        "but models:/nuclei@champion is a model of nuclei. Leave out the model, or name another one",
    ),
    "registered model of another task than the images": (
        "finetune --dataset mine-tnt --model models:/nuclei/1",
        "mine-tnt holds images of nanotubes, but models:/nuclei/1 is a model of nuclei. Name a model of nanotubes",
    ),
    "broken images of a training": (
        "train nuclei --dataset dsb2018",
        "data/dsb2018/stage1_train.zip cannot be used as it",
    ),
    "broken images of nanotubes of a training": ("train nanotubes", "data/tnt/tnt.zip cannot be used as it is"),
    "broken images of a search": ("tune nuclei", "data/dsb2018/stage1_train.zip cannot be used as it is"),
    "broken images of nanotubes of a search": ("tune nanotubes", "data/tnt/tnt.zip cannot be used as it is"),
    "broken images to explore": ("explore nuclei", "data/dsb2018/stage1_train.zip cannot be used as it is"),
    "broken images of nanotubes to explore": ("explore nanotubes", "data/tnt/tnt.zip cannot be used as it is"),
    "broken images of a comparison": (
        "compare nuclei --recipes",
        "data/dsb2018/stage1_train.zip cannot be used as it is",
    ),
    "nothing to roll back": ("promote nuclei --rollback", "there are no runs here"),
    "first champion to roll back": ("promote nuclei --rollback", "version 1 of nuclei is the first champion, there is"),
    "images that a champion is compared on": (
        "promote nuclei --model nuclei",
        "this needs the images of dsb2018, but data/dsb2018/stage1_train.zip is missing",
    ),
    "shipped run": ("ship --run abcd1234", "no run 'abcd1234' at "),
    "name of a shipped model": ("ship --run abcd1234 --name a/b", "as the name of one folder, got 'a/b'"),
    "setting of a scored run": ("evaluate --run abcd1234 --set instances.min_are=3", "Did you mean instances.min_area"),
    "setting of a fine-tuning": ("finetune --set foo=1", "unknown setting 'foo'"),
    "name of a lineage": ("lineage nucleii", "no model 'nucleii'. Did you mean nuclei?"),
    "run of a lineage": ("lineage abcd1234", "no run 'abcd1234' at "),
    "empty adopted folder": ("adopt pictures", "but pictures has no history.json"),
    "adopted folder": ("adopt nowhere", "but nowhere is none"),
    "compared runs": ("compare nuclei --runs a=abcd1234,b=1", "no run 'abcd1234'"),
    "compared recipe": ("compare nuclei --recipes", "no recipe at recipes/unte.yaml"),
    "tuner": ("tune nuclei --tuner optunna", "unknown tuner 'optunna'. Did you mean optuna?"),
    "trials": ("tune nuclei --trials many", "trials must be a whole number from 1, got 'many'"),
    "study with other settings": (
        "tune nuclei --study old --tuner keras-tuner",
        "study 'old' exists with another space",
    ),
    "study of another tuner": (
        "tune nuclei --study old",
        "study 'old' is a search of keras-tuner, and optuna would begin another one",
    ),
    "storage": ("tune nuclei --storage folder/study", "storage must read postgresql://USER@HOST/DATABASE"),
    "storage that does not answer": (
        "tune nuclei --dataset simulated --storage postgresql://x@127.0.0.1:1/y",
        "the storage postgresql://x@127.0.0.1:1/y cannot be reached: connection failed",
    ),
    "password": ("tune nuclei --storage postgresql://u:SECRET@h/d", "without a password, got postgresql://u:***@h/d"),
    "password in the query": (
        "tune nuclei --storage postgresql://h/d?user=u&password=SECRET",
        "without a password, got postgresql://h/d?user=u&password=***",
    ),
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
    "plots among other files": ("plots --output pictures", "but pictures holds other files. Name another"),
    "model of another task than the images": (
        "finetune --dataset mine-tnt --model nuclei",
        "mine-tnt holds images of nanotubes, but nuclei is a model of nuclei. Name a model of nanotubes, or another",
    ),
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
    "lacking images to fine-tune on": (
        "finetune",
        "data/mine/images.zip is missing. Get them with `python -m nanonuclei fetch mine --source FOLDER_OR_ZIP`",
    ),
    "run to predict with": ("predict pictures --model abcd1234", "no run 'abcd1234' at "),
    "registered model to predict with": ("predict pictures --model models:/nuclei@champion", "there are no runs here"),
    "registered model without a version": (
        "predict pictures --model models:/nuclei",
        "must be named with an alias or a version, got 'models:/nuclei'. Such as models:/nuclei@champion",
    ),
    "results around the images": ("predict pictures --output .", "results need a folder of their own, but . holds"),
    "setting that no model has": ("predict pictures --model abcd1234 --set insta=1", "unknown setting 'insta'"),
    "predicted images": ("predict nowhere", "nowhere does not exist. Name a folder of images"),
    "model to predict with": ("predict pictures --model nucleii", "no model 'nucleii'. Did you mean nuclei?"),
    "kind of images that the simulator does not draw": (
        "train nuclei --dataset simulated --set data.modality=stained",
        "data.modality must be one that simulated images have, all or fluorescence, got stained.",
    ),
    "kind of images of a search": (
        "tune nuclei --dataset simulated --set data.modality=stained",
        "data.modality must be one that simulated images have",
    ),
    "devices": ("train nuclei --dataset simulated --set train.devices=99", "asked for 99, found"),
    "weights that have not been fetched": (
        "train nuclei --dataset simulated --set network.kind=efficientnetlite0",
        "network.weights=imagenet of efficientnetlite0 must be fetched before training",
    ),
    "weights that cannot be downloaded": (
        "train nuclei --dataset simulated --set network.kind=vgg16 --set network.weights=imagenet",
        "the ImageNet weights of vgg16 must be in no-folder/models/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 "
        "or be downloadable, but https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_",
    ),
    "weights of nanotubes that cannot be downloaded": (
        "train nanotubes --dataset simulated --set network.answer=window --set network.weights=imagenet",
        "the ImageNet weights of mobilenetv2 with alpha ",
    ),
    "weights of a search that cannot be downloaded": (
        "tune nanotubes --dataset simulated --set network.answer=window --set network.weights=imagenet",
        "the ImageNet weights of mobilenetv2 with alpha 0.35 must be in no-folder/models/mobilenet_v2_weights_tf_dim",
    ),
    "weights of a comparison that cannot be downloaded": ("compare nuclei --recipes", "must be in no-folder/models/"),
    "layer of another network": (
        "train nanotubes --dataset simulated --set network.answer=window --set network.kind=vgg16",
        "trunk must be a layer of vgg16, such as block4_conv3, got 'block_6_expand_relu'",
    ),
    "storage of a tuner that has one worker": (
        "tune nuclei --dataset simulated --tuner keras-tuner --storage sqlite:///x.db",
        "storage is for many workers",
    ),
    "model to ship": ("ship --model nuclei", "ship takes the model of a run, a run's id or models:/NAME@ALIAS"),
    "value of a fine-tuning": ("finetune --dataset simulated --set train.epochs=0", "train.epochs=0: input should be"),
    "value of a fine-tuning that does not fit": (
        "finetune --dataset simulated --set train.patch_size=100",
        "train.patch_size must be a multiple of",
    ),
    "network of a fine-tuning": (
        "finetune --dataset simulated --set network.depth=2",
        "a trained model keeps its network.depth; finetune can change",
    ),
    "value of a scoring": (
        "evaluate --run 00000000000000000000000000000003 --set instances.threshold=5",
        "instances.threshold=5: input should be",
    ),
    "value that the model of a run does not fit": (
        "evaluate --run 00000000000000000000000000000003 --set windows.size=1100",
        "windows.size must be a multiple of 2**network.depth = 8",
    ),
    "window that the trunk does not divide": (
        "train nanotubes --dataset simulated --set train.patch_size=60",
        "train.patch_size must be a multiple of 8, the stride of network.trunk=block_6_expand_relu, got 60. Take 56 or",
    ),
    "setting of another task than the model's": (
        "predict pictures --model nanotubes --set instances.min_area=6",
        "unknown setting 'instances.min_area'. It is one of nuclei, not of nanotubes.",
    ),
    "file without weights": (
        "train nuclei --dataset simulated --set network.kind=mobilenetv2 --set network.weights=pictures/c.txt",
        "network.weights must be a file of weights, HDF5 or .keras, but pictures/c.txt is none. Take another file",
    ),
    "another network than that of the model to begin with": (
        "train nuclei --dataset simulated --set network.weights=nuclei --set network.base_filters=9",
        "a training that begins with a model keeps its network, target and loss: nuclei has network.base_filters=",
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
    "folder that is no project": (
        "train nuclei --dataset dsb2018",
        "has no params.yaml: change to your project's folder if it is another",
    ),
    "folder without a model": (
        "predict pictures --model pictures",
        "pictures is a folder without a model: config.yaml and network.onnx are not in it. ",
    ),
    "logged model that is not there": ("lineage models:/m-123", "no model 'models:/m-123' at sqlite:///"),
    "weights with a slip": (
        "train nuclei --dataset simulated --set network.kind=mobilenetv2 --set network.weights=nuclie",
        "network.weights must be imagenet, none, a model or a file that exists, got 'nuclie'. Did you mean nuclei?",
    ),
    "host of another machine": (
        "page --host 192.0.2.1",
        "host must be an address of this machine, got '192.0.2.1'",
    ),
    "value of a scoring of nanotubes": (
        "evaluate --run 00000000000000000000000000000002 --set tubes.width=wide",
        "tubes.width=wide: input should be a valid number, or 'auto'.",
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
    "images of all the pipeline": ("repro", "the pipeline needs data/dsb2018, which is missing"),
    "changed images of the pipeline": ("repro", "data/ changed since data.dvc: it has md5 "),
    "conflict in the files of the pipeline": ("repro", "dvc.lock must not hold conflict markers, but a merge left"),
    "prepared images": ("train nuclei --build", "build/nuclei/prepared must hold prepared images, but is missing"),
    "stage of the pipeline": (
        "repro trian@nuclei",
        "the pipeline has no stage 'trian@nuclei'. Did you mean train@nuclei",
    ),
    "file of stages": (
        "repro pipelines/nowhere/dvc.yaml",
        "but pipelines/nowhere/dvc.yaml is not there",
    ),
    "plots of nothing": ("plots --output drawn", "plots need the tables that the pipeline writes"),
    "plots into a file": ("plots --output pictures/a.png", "output must be a folder, but pictures/a.png is a file"),
    "format of a package": ("export --to onnx --output new.zip", "unknown format 'onnx'. Known: bioimageio."),
    "licence of a package": ("export --output new.zip --licence CC-BY4", "got 'CC-BY4'. Did you mean CC-BY-4.0?"),
    "existing package": ("export --output pictures/a.zip", "a new file, but pictures/a.zip exists"),
    "address of the page": ("page --port many", "port must be a whole number from 0 to 65535, got 'many'"),
    "results to correct": ("correct nowhere --to fiji --output new", "nowhere"),
    "program to correct in": ("correct pictures --to imagej --output new", "imagej"),
    "images to fine-tune on": ("finetune --dataset mien", "unknown dataset 'mien'. Did you mean mine"),
    "name of a model to fine-tune": ("finetune --model nucleii", "no model 'nucleii'. Did you mean nuclei?"),
    "model to fine-tune": ("finetune --model abcd1234", "abcd1234"),
    "model to serve": ("serve --model nuclei", "serve takes a registered model, models:/NAME@ALIAS"),
    "runs to serve from": ("serve --model models:/nuclei@champion", "there are no runs here"),
    "whether to clean": ("clean --apply perhaps", "perhaps"),
    "missing images": ("label --images nowhere --output new", "but nowhere is not there"),
}
"""What is wrong, to the words of a command line and a part of the message."""
WORDS = {
    "compared recipe": ["--recipes", "unet unte"],
    "compared runs": ["--runs", "a=abcd1234 b=abcd1235"],
    "broken images of a comparison": ["--recipes", "unet default"],
    "weights of a comparison that cannot be downloaded": [
        "--recipes",
        "unet default",
        "--dataset",
        "simulated",
        "--set",
        "network.kind=efficientnetb0 network.weights=imagenet",
    ],
}
"""Parameters at the end of a command line of which one holds a space."""
BROKEN = ("a/images/a.png", "a/masks/1.png", "images/b.png", "masks/b.png")
"""Files of datasets whose images cannot be read, as both tasks lay them out."""
ELSEWHERE = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:1"),
    **dict.fromkeys(("no_proxy", "NO_PROXY", "KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE"), ""),
    **dict.fromkeys(("KERAS_HOME", "KAGGLE_CONFIG_DIR", "KAGGLEHUB_CACHE"), "no-folder"),
}
"""Environment in which no server answers, and nothing was downloaded before."""
WITH_CHAMPION = (
    "first champion to roll back",
    "images that a champion is compared on",
    "task of a registered champion",
    "task of a registered version",
    "task of a logged model",
    "task of a run's model",
    "registered weights of another task",
    "label with a registered model of a task without pictures",
    "registered model of another task than the images",
    "logged model that is not there",
    "output of a prediction by a run",
    "channel of a prediction by a run",
    "host of a page of a run",
    "value of a scoring",
    "value of a scoring of nanotubes",
    "value of a prediction by a run",
    "value that the model of a run does not fit",
)
"""Mistakes where a registry has a champion, another model than the one that comes along, and a model of each task."""
CHAMPION = """
create table runs (run_uuid text);
create table tags (run_uuid text, key text, value text);
create table params (run_uuid text, key text, value text);
create table logged_models (model_id text, source_run_id text);
create table registered_models (name text);
create table model_versions (name text, version int, current_stage text, run_id text);
create table registered_model_aliases (name text, alias text, version int);
create table model_version_tags (name text, version int, key text, value text);
insert into runs values ('00000000000000000000000000000001'), ('00000000000000000000000000000002'),
    ('00000000000000000000000000000003');
insert into tags values
    ('00000000000000000000000000000003', 'task', 'nuclei'),
    ('00000000000000000000000000000003', 'model.uri', 'models:/m-4567'),
    ('00000000000000000000000000000001', 'task', 'nuclei'),
    ('00000000000000000000000000000002', 'task', 'nanotubes'),
    ('00000000000000000000000000000002', 'model.uri', 'models:/m-0123');
insert into logged_models values ('m-0123', '00000000000000000000000000000002');
insert into registered_models values ('nuclei'), ('nanotubes');
insert into model_versions values
    ('nuclei', 1, 'None', '00000000000000000000000000000001'),
    ('nanotubes', 1, 'None', '00000000000000000000000000000002');
insert into registered_model_aliases values ('nuclei', 'champion', 1);
"""
"""What a look at the registry reads."""
LOGGED = [
    (run, path, str(value))
    for run, task, changed in (
        ("00000000000000000000000000000002", "nanotubes", {"a.setting.of.old": 1}),
        ("00000000000000000000000000000003", "nuclei", {"network.depth": 3, "a.setting.of.old": 1}),
    )
    for path, value in {**flatten(load_experiment(task, path=ROOT / "params.yaml")), **changed}.items()
]
"""Settings of two trainings, as texts, as `tracking.runs.log_settings` logs them."""


def test_every_command_has_a_mistake() -> None:
    stages = next(action.choices for action in _parser()._actions if isinstance(action.choices, dict))
    assert set(stages) - {words.split()[0] for words, _ in MISTAKES.values()} == set()


def processor_seconds(words: list[str], folder: Path, **more: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Runs Python in a process of its own; returns its processor time and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **ELSEWHERE, "PYTHONPATH": str(ROOT / "src"), **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


@pytest.fixture(scope="module")
def budget(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that a mistake may take on this machine."""
    seconds, _ = processor_seconds(["-c", "import mlflow"], tmp_path_factory.mktemp("reference"))
    return BUDGET_SECONDS * max(1.0, seconds / REFERENCE_SECONDS)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_told_early_in_one_line_and_leaves_nothing(mistake: str, budget: float, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name, content in (("a.png", b""), ("a.zip", b""), ("c.txt", b"no weights")):
        (tmp_path / "pictures" / name).write_bytes(content)
    if mistake.startswith("channel of"):
        Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "photo.png")
    notes = tmp_path / "scratch" / "tune" / "old" / "keras-tuner" / "study.json"
    (notes.parent / "trial_0").mkdir(parents=True)
    notes.write_text(json.dumps({"identity": {"train.batch_size": 1}}))
    (notes.parent / "trial_0" / "trial.json").write_text(json.dumps({"status": "COMPLETED"}))
    words, message = MISTAKES[mistake]
    command = [*words.split()[:2], *WORDS[mistake]] if mistake in WORDS else words.split()
    (tmp_path / "dvc.yaml").symlink_to(ROOT / "dvc.yaml")
    if mistake in WITH_CHAMPION:
        with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            database.executescript(CHAMPION)
            database.executemany("insert into params values (?, ?, ?)", LOGGED)
            database.commit()
    if mistake.startswith("broken images"):
        for name in ("dsb2018/stage1_train.zip", "tnt/tnt.zip"):
            (tmp_path / "data" / name).parent.mkdir(parents=True)
            with zipfile.ZipFile(tmp_path / "data" / name, "w") as archive:
                for file in BROKEN:
                    archive.writestr(file, b"no image")
    if mistake == "changed images of the pipeline":
        (tmp_path / "data" / "dsb2018").mkdir(parents=True)
        (tmp_path / "data" / "dsb2018" / "stage1_train.zip").write_bytes(b"")
        (tmp_path / "data.dvc").write_text("outs: [{md5: 0123.dir, path: data}]\n")
    if mistake.startswith("conflict"):
        (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\n")
    found = sorted(tmp_path.rglob("*"))
    home = {"HOME": str(tmp_path)} if mistake.startswith("Kaggle") else {}
    seconds, done = processor_seconds(["-m", "nanonuclei", *command], tmp_path, **home)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "SECRET" not in done.stdout + done.stderr
    assert sorted(tmp_path.rglob("*")) == found
    assert seconds < budget

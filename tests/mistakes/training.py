"""Mistakes at commands that make networks, and the line that tells each."""

from __future__ import annotations

MISTAKES = {
    "stage": ("trian nuclei", "there is no stage 'trian'. Did you mean train?"),
    "parameter": ("train nuclei --recipee unet", "train has no parameter 'recipee'. Did you mean recipe?"),
    "weights of another task": (
        "train nuclei --dataset simulated --set network.weights=nanotubes",
        "network.weights must name a model of nuclei, but nanotubes is one of nanotubes",
    ),
    "name before what has none": ("compare --task nuclei", "compare takes task without a name. Leave out --task, give"),
    "parameter of another stage": ("explore nuclei --resume x", "explore has no parameter 'resume'. Known: "),
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
    "run that is lacking": ("evaluate", "evaluate: needs --run RUN_ID"),
    "setting": ("explore nuclei --set train.epoch=2", "Did you mean train.epochs or "),
    "resumed run": ("train nuclei --resume abcd1234", "no run 'abcd1234' at "),
    "registered model to score": (
        "evaluate --run models:/nuclei/1",
        "this needs the id of a run, but models:/nuclei/1 is a registered model. `python -m nanonuclei lineage ",
    ),
    "dataset of another task": ("train nuclei --dataset tnt", "unknown dataset 'tnt'. It is one of nanotubes, not of "),
    "simulated images without a nanotube": (
        "train nanotubes --dataset simulated --set data.simulated.tubes_per_cell=0",
        "setting: data.simulated.tubes_per_cell=0: input should be greater than 0.",
    ),
    "folder of a storage": (
        "tune nuclei --storage sqlite:///nowhere/study.db",
        "the storage must lie in a folder, but nowhere is not there. Make it, or name another",
    ),
    "scored run": ("evaluate --run abcd1234", "no run 'abcd1234' at "),
    "shipped model to score": ("evaluate --run nuclei", "nuclei is a model that comes along. Its scores stand in "),
    "split": ("evaluate --run abcd1234 --split tset", "unknown split 'tset'. Did you mean test?"),
    "registered weights of another task": (
        "train nuclei --dataset simulated --set network.weights=models:/nanotubes/1",
        "network.weights must name a model of nuclei, but models:/nanotubes/1 is one of nanotubes",
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
    "setting of a scored run": ("evaluate --run abcd1234 --set instances.min_are=3", "Did you mean instances.min_area"),
    "setting of a fine-tuning": ("finetune --set foo=1", "unknown setting 'foo'"),
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
    "plots among other files": ("plots --output pictures", "but pictures holds other files. Name another"),
    "model of another task than the images": (
        "finetune --dataset mine-tnt --model nuclei",
        "mine-tnt holds images of nanotubes, but nuclei is a model of nuclei. Name a model of nanotubes, or another",
    ),
    "lacking images to fine-tune on": (
        "finetune",
        "data/mine/images.zip is missing. Get them with `python -m nanonuclei fetch mine --source FOLDER_OR_ZIP`",
    ),
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
    "file without weights": (
        "train nuclei --dataset simulated --set network.kind=mobilenetv2 --set network.weights=pictures/c.txt",
        "network.weights must be a file of weights, HDF5 or .keras, but pictures/c.txt is none. Take another file",
    ),
    "another network than that of the model to begin with": (
        "train nuclei --dataset simulated --set network.weights=nuclei --set network.base_filters=9",
        "a training that begins with a model keeps its network, target and loss: nuclei has network.base_filters=",
    ),
    "folder that is no project": (
        "train nuclei --dataset dsb2018",
        "has no params.yaml: change to your project's folder if it is another",
    ),
    "weights with a slip": (
        "train nuclei --dataset simulated --set network.kind=mobilenetv2 --set network.weights=nuclie",
        "network.weights must be imagenet, none, a model or a file that exists, got 'nuclie'. Did you mean nuclei?",
    ),
    "value of a scoring of nanotubes": (
        "evaluate --run 00000000000000000000000000000002 --set tubes.width=wide",
        "tubes.width=wide: input should be a valid number, or 'auto'.",
    ),
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
    "images to fine-tune on": ("finetune --dataset mien", "unknown dataset 'mien'. Did you mean mine"),
    "name of a model to fine-tune": ("finetune --model nucleii", "no model 'nucleii'. Did you mean nuclei?"),
    "model to fine-tune": ("finetune --model abcd1234", "abcd1234"),
}
"""The words of a command, and what its error says."""

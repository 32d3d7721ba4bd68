"""The served model: a table of images in, one row per object or one label image per image out."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from nanonuclei.config.experiment import ExperimentConfig
from nanonuclei.config.params import flatten, with_settings
from nanonuclei.data.fingerprint.look import Looks, look_of
from nanonuclei.data.fingerprint.stored import read_fingerprint
from nanonuclei.engine.runtime import load_onnx
from nanonuclei.errors import ConfigError, DataError, nearest_name
from nanonuclei.imaging.instances import Instances
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.score_maps import MOST_PIXELS
from nanonuclei.imaging.sizing.room import ROOM
from nanonuclei.imaging.types import Float32Array
from nanonuclei.serving.admission import ticket
from nanonuclei.serving.admission.capacity import measure
from nanonuclei.serving.admission.lanes import Lane, Lanes
from nanonuclei.serving.folder import stored_config
from nanonuclei.serving.images import Encoded, decoded, examine
from nanonuclei.serving.limits import limits
from nanonuclei.serving.live.notes import note_image, note_objects, taking_notes
from nanonuclei.serving.origin import trained_on, unlike_training
from nanonuclei.serving.refusal import Refused, broken
from nanonuclei.tasks import add_task, create_reader
from nanonuclei.tasks.base import Reader

_logger = logging.getLogger(__name__)

IMAGE = "image"
FORMER_NAMES = {"geometry": "geometry.json"}
"""Names that older models gave the files of their task."""

RETURN, OBJECTS, LABELS = "return", "objects", "labels"
LABEL_COLUMNS = ("image", "height", "width", "num_objects", "labels")
MOST_LABELS = 65_535
"""Objects that a 16-bit label image can number."""

TASK = "task_package"
"""Entry of a model's configuration: the task's name and package, `name=package`. MLflow logs it as a parameter, so it
must not be called `task`."""

SERVER = "__pyfunc_model_path__"
"""Environment variable by which MLflow's scoring server learns what to serve; nobody else sets it."""


def object_columns(reader: Reader) -> tuple[str, ...]:
    """Returns the columns of an answer with objects: number of the image, from 0, and of the object, from 1, first."""
    return ("image", "object", *reader.columns)


def signature(config: ExperimentConfig) -> ModelSignature:
    """Returns what a model of this config takes and answers; the defaults of its parameters are its settings.

    Raises:
        ConfigError: A threshold is still to be chosen.
    """
    reader, settings = create_reader(config), flatten(config)
    kinds = {int: "long", float: "double", str: "string"}
    parameters = []
    for name, path in reader.parameters.items():
        value = settings[path]
        if value == reader.open_settings.get(path):
            raise ConfigError(f"{path} must be a number before a model is stored, got {value!r}. Set it, or train anew")
        parameters.append(ParamSpec(name, kinds[type(value)], value))
    return ModelSignature(
        # Any type: bytes, base64 text, a path or an array. Not required: the model itself tells what is missing.
        inputs=Schema([ColSpec(AnyType(), IMAGE, required=False)]),
        outputs=Schema([ColSpec(reader.columns.get(name, "long"), name) for name in object_columns(reader)]),
        params=ParamSchema([*parameters, ParamSpec(RETURN, "string", OBJECTS)]),
    )


class ObjectModel(PythonModel):  # type: ignore[misc]
    """Finds the objects of images.

    Input: a table with the column ``image``; see `serving.images.examine` for what it may hold. Parameters: those of
    the task's reader, and ``return``. Output with ``return`` objects: one row per object: ``image`` (row of the input),
    ``object`` from 1, and the columns that the task's reader describes. With ``return`` labels: one row per image:
    ``image``, ``height``, ``width``, ``num_objects`` and ``labels``, a 16-bit PNG in base64.
    """

    # The signature is given by hand; without this MLflow warns at each import that type hints are missing.
    _skip_type_hint_validation = True

    def load_context(self, context: PythonModelContext) -> None:
        """Loads network and settings from the stored files."""
        self.limits = limits(context.model_config or {})
        name, _, package = str((context.model_config or {}).get(TASK, "")).partition("=")
        if package:
            add_task(name, package)
        files = {FORMER_NAMES.get(name, name): Path(path) for name, path in context.artifacts.items()}
        self.config = stored_config(files["config"])
        reader = create_reader(self.config)
        network = load_onnx(files["onnx"], threads=self.limits["threads"], large=reader.large_inputs)
        self._network = reader.with_files(_one_at_a_time(network), files)
        fingerprint = read_fingerprint(files["config"].parent)
        self._looks = Looks(()) if fingerprint is None else fingerprint.looks
        self._origin, *self._warnings = trained_on(self.config)
        self._lanes, self._is_server = Lanes(None), SERVER in os.environ
        if self._is_server:
            from nanonuclei.serving.admission.entrance import open_entrance
            from nanonuclei.serving.admission.memory import give_back_freed_memory
            from nanonuclei.serving.guard import guard

            _logger.warning("The model was %s", " ".join([self._origin, *self._warnings]))
            give_back_freed_memory()
            asked = {name: self.limits[name] for name in ("max_pixels", "max_bytes", "memory")}
            capacity = measure(self._network, reader, **asked)
            self.limits |= {"max_pixels": capacity.num_pixels, "max_bytes": capacity.num_bytes}
            self._lanes = Lanes(capacity)
            _logger.info("requests may have %d px and %d bytes", capacity.num_pixels, capacity.num_bytes)
            guard(max_bytes=capacity.num_bytes, parameters=(*reader.parameters, RETURN), warnings=self._warnings)
            open_entrance(capacity)

    def predict(self, context: PythonModelContext, model_input, params=None):  # type: ignore[no-untyped-def]
        """Returns one row per object or image; untyped, as a type hint would become the served signature."""
        try:
            config, wanted = self._settings(params or {})
            images = examine(_items(model_input), max_pixels=self.limits["max_pixels"])
            with self._lanes.taken(_held_pixels(images)) as enlarge:
                before = ROOM.set(enlarge)
                try:
                    with taking_notes() as notes:
                        rows = list(self._answers(images, config, wanted))
                finally:
                    ROOM.reset(before)
                if not self._is_server:  # there the answer holds them, see `guard`
                    for line in unlike_training([note.unlike for note in notes.images]):
                        _logger.warning("%s", line)
                columns = LABEL_COLUMNS if wanted == LABELS else object_columns(create_reader(config))
                return pd.DataFrame(rows, columns=columns)
        except Refused:
            raise
        except (DataError, ConfigError) as error:
            raise Refused(" ".join(str(error).split())) from error
        except Exception as error:
            _logger.exception("a request failed")
            raise broken() from error

    def _settings(self, params: Mapping[str, Any]) -> tuple[ExperimentConfig, str]:
        """Returns the config that a request asks for, and what it wants."""
        known = create_reader(self.config).parameters
        wrong = set(params) - {*known, RETURN}
        if wrong:
            raise Refused(f"unknown parameter {min(wrong)!r}. {nearest_name(min(wrong), [*known, RETURN])}")
        wanted = params.get(RETURN, OBJECTS)
        if wanted not in (OBJECTS, LABELS):
            raise Refused(f"return must be {OBJECTS} or {LABELS}, got {wanted!r}")
        current = flatten(self.config)
        changed = {
            known[name]: value
            for name, value in params.items()
            if name != RETURN and value is not None and value != current[known[name]]
        }
        return (with_settings(self.config, changed) if changed else self.config), wanted

    def _answers(self, images: Sequence[Encoded], config: ExperimentConfig, wanted: str) -> Iterator[dict[str, Any]]:
        reader = create_reader(config)
        shapes: list[tuple[int, int]] = []

        def inputs() -> Iterator[Float32Array]:
            for image in decoded(images):
                shapes.append((image.shape[0], image.shape[1]))
                pixels = reader.network_input(image)
                note_image(image, unlike=self._looks.unlike(look_of(pixels)) if self._looks.rows else "")
                yield pixels

        for number, score_map in enumerate(reader.score_maps(self._network, inputs())):
            shape = shapes[number]
            ticket.check()
            if wanted == LABELS:
                instances = reader.instances(score_map, shape)
                note_objects(instances)
                yield _label_row(number, instances, shape)
            else:
                objects = reader.objects(score_map, shape)
                note_objects(objects.instances)
                for place, row in enumerate(objects.rows, start=1):
                    yield {"image": number, "object": place, **{name: row[name] for name in reader.columns}}


def _items(table: object) -> list[object]:
    if not isinstance(table, pd.DataFrame) or IMAGE not in table.columns:
        columns = list(map(str, table.columns)) if isinstance(table, pd.DataFrame) else []
        raise Refused(f"the table must have the column {IMAGE!r}, got {', '.join(columns)[:200] or 'none'}")
    return list(table[IMAGE])


def _label_row(number: int, found: Instances, shape: tuple[int, int]) -> dict[str, Any]:
    if len(found) > MOST_LABELS:
        raise Refused(f"image {number} has {len(found)} objects, more than a 16-bit image can number: ask for objects")
    if found.labels is None:
        raise DataError(f"objects need their pixels to be answered, got {len(found)} boxes. Take another read-out")
    _, data = cv2.imencode(".png", found.labels.astype(np.uint16))
    text = base64.b64encode(data.tobytes()).decode("ascii")
    return {"image": number, "height": shape[0], "width": shape[1], "num_objects": len(found), "labels": text}


def _held_pixels(images: Sequence[Encoded]) -> int:
    """Returns the px of a request that are held at a time: the largest image, and those in one batch with it."""
    sizes = [image.num_pixels for image in images]
    return min(sum(sizes), max(sizes) + MOST_PIXELS)


def _one_at_a_time(network: Network) -> Network:
    """Returns a network that computes for one request at a time, on all cores, in turns.

    The others decode and read meanwhile. Work whose client is gone, or whose time is over, stops here.
    """
    turns = Lane(1)

    def waiting(batch: Float32Array) -> Float32Array:
        with turns.taken():
            ticket.check()
            return network(batch)

    return waiting

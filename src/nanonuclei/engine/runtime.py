"""Networks on ONNX Runtime: no Keras, no TensorFlow in the process."""

from __future__ import annotations

from pathlib import Path

from nanonuclei.errors import TrackingError
from nanonuclei.imaging.networks import Network
from nanonuclei.imaging.types import Float32Array
from nanonuclei.invocation import command

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Where a network runs, best first; the first one comes with the package `onnxruntime-gpu`."""


def load_onnx(path: Path, *, threads: int = 0, large: bool = False) -> Network:
    """Loads a network as a function that several threads may call at once.

    Args:
        path: A file of `engine.export.export_onnx`.
        threads: Of one call; 0: as many as there are cores.
        large: Whether already one image at a time is large, as the tiles of a scan are.

    Returns:
        ``(batch, height, width, 3)`` to ``(batch, height, width, channels)`` float32.

    Raises:
        TrackingError: The file is not there or is no network.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that wait by spinning would take the cores from the other requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        kinds = [kind for kind in PROVIDERS if kind in onnxruntime.get_available_providers()]
        loaded = onnxruntime.InferenceSession(path, options, providers=kinds)
    except Exception as error:  # the runtime has one class of errors per reason, without a common one
        raise TrackingError(
            f"{path.name} must be a network in ONNX, but it cannot be loaded ({type(error).__name__}). Log the model "
            f"again with `{command('train')}`"
        ) from error
    (image,) = loaded.get_inputs()
    shrinking = onnxruntime.RunOptions()
    shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def network(batch: Float32Array) -> Float32Array:
        # After large tiles, or more than one window at a time, memory that one does not need goes back to the system.
        shrinks = large or len(batch) > 1
        answer: Float32Array = loaded.run(None, {image.name: batch}, shrinking if shrinks else None)[0]
        return answer

    return network

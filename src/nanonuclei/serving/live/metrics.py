"""What a live server counts and measures, per version of the model, in the text form that Prometheus reads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nanonuclei.serving.live.drift import DriftState
from nanonuclei.serving.live.notes import ImageNote

VERSION = ("model", "version")
PERCENTILES = {"1": "p1", "50": "p50", "99": "p99"}
"""Label of an intensity to the attribute of `Features`."""

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
MEGAPIXELS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50)
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
COUNTS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
PIXELS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)


class Metrics:
    """The metrics of one server; its methods may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        kept = {"registry": self.registry}
        name = "nanonuclei"
        self._requests = Counter(f"{name}_requests", "Requests for predictions", (*VERSION, "status"), **kept)
        self._seconds = Histogram(f"{name}_request_seconds", "Time of an answer", VERSION, buckets=SECONDS, **kept)
        self._size = Histogram(f"{name}_image_megapixels", "Size of images", VERSION, buckets=MEGAPIXELS, **kept)
        self._intensity = Histogram(
            f"{name}_image_intensity",
            "Percentiles of an image's grey values, as shares of the largest value of its type",
            (*VERSION, "percentile"),
            buckets=SHARES,
            **kept,
        )
        self._objects = Histogram(f"{name}_objects", "Objects found in an image", VERSION, buckets=COUNTS, **kept)
        self._diameter = Histogram(
            f"{name}_diameter_pixels", "Median diameter of an image's objects", VERSION, buckets=PIXELS, **kept
        )
        self._score = Histogram(f"{name}_score", "Mean score of an image's objects", VERSION, buckets=SHARES, **kept)
        self._drift = Gauge(
            f"{name}_drift",
            "Strangeness of the last images, 0..1; 0.5 is expected of images like training",
            VERSION,
            **kept,
        )
        self._told = Gauge(
            f"{name}_drift_told", "1 where the last images are unlike those of training", VERSION, **kept
        )
        self._unlike = Counter(
            f"{name}_images_unlike_training", "Images that look unlike each training image", VERSION, **kept
        )
        self._serving = Gauge(f"{name}_serving", "1 for the version that answers", VERSION, **kept)
        self._reloads = Counter(f"{name}_reloads", "New versions that were loaded, by result", ("result",), **kept)
        for result in ("switched", "refused"):
            self._reloads.labels(result)

    def answered(self, version: tuple[str, str], *, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        self._requests.labels(*version, str(status)).inc()
        self._seconds.labels(*version).observe(seconds)

    def seen(self, version: tuple[str, str], note: ImageNote) -> None:
        """Notes an image and what was found in it."""
        self._size.labels(*version).observe(note.height * note.width / 1e6)
        for label, attribute in PERCENTILES.items():
            self._intensity.labels(*version, label).observe(getattr(note.features, attribute))
        self._objects.labels(*version).observe(note.num_objects)
        self._unlike.labels(*version).inc(bool(note.unlike))
        if note.num_objects:
            self._diameter.labels(*version).observe(note.features.diameter)
            self._score.labels(*version).observe(note.mean_score)

    def drifted(self, version: tuple[str, str], state: DriftState) -> None:
        """Notes what the last images tell."""
        self._drift.labels(*version).set(state.value)
        self._told.labels(*version).set(float(state.told))

    def switched(self, version: tuple[str, str], *, before: tuple[str, str] | None) -> None:
        """Notes which version answers from now on."""
        if before is not None:
            self._serving.labels(*before).set(0)
            self._reloads.labels("switched").inc()
        self._serving.labels(*version).set(1)

    def refused(self) -> None:
        """Counts a version that was not taken."""
        self._reloads.labels("refused").inc()

    def text(self) -> bytes:
        """Returns all metrics in Prometheus' text form."""
        return bytes(generate_latest(self.registry))

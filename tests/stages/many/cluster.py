"""A Ray cluster of two nodes on this machine; one is killed while `predict` is at work. Prints what came of it as JSON.

python cluster.py IMAGES MODEL OUTPUT BUCKET_URL
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

from nanonuclei.stages.predict.many.engine import predict_on_many
from nanonuclei.stages.predict.request import Request

NODE = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
KILLED_AFTER = 3
"""Shards."""


def kill_in_the_middle(cluster: Cluster, node: Any, shards: Path, seen: dict[str, Any]) -> None:
    while not shards.is_dir() or len(list(shards.glob("part-*"))) < KILLED_AFTER:
        time.sleep(0.02)
    cluster.remove_node(node, allow_graceful=False)
    seen["shards_when_killed"] = len(list(shards.glob("part-*")))


def main(images: str, model: str, output: str, bucket: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "_system_config": QUICK})
    second = cluster.add_node(**NODE)
    told: dict[str, Any] = {"nodes": len(cluster.list_all_nodes())}
    common = {"formats": ("parquet",), "address": cluster.address}
    request = Request(images, model, output=Path(output), block=8, **common)
    killer = threading.Thread(target=kill_in_the_middle, args=(cluster, second, Path(output, "images"), told))
    killer.start()
    summary = predict_on_many(request)
    killer.join()
    told |= {"images": summary.num_images, "objects": summary.num_objects, "failed": summary.failed}
    first = sorted(Path(output, "images").iterdir())[0]
    first.unlink()
    again = predict_on_many(Request(images, model, output=Path(output), block=8, resume=True, **common))
    told |= {"images_again": again.num_images, "objects_again": again.num_objects}
    stored = predict_on_many(Request(f"{bucket}/in/**/*.png", model, output=f"{bucket}/out", block=4, **common))
    told |= {"stored": stored.num_images, "stored_failed": stored.failed}
    cluster.shutdown()
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A worker for the tests: waits for a sign, searches, and notes the begin and end of every trial in a file.

One that is held stays in its first trial until there is a file `release`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from nanonuclei.config.params import load_experiment
from nanonuclei.tune.base import COMPLETE, Outcome, Proposal, Report, Search, open_search

NUM_EPOCHS, SECONDS = 4, 0.2
"""Of a trial."""


def main(task: dict[str, object]) -> None:
    log = Path(str(task["log"]))

    def wait_for(sign: str) -> None:
        while not (log.parent / sign).exists():
            time.sleep(0.02)

    def note(event: str, proposal: Proposal) -> None:
        line = {"event": event, "time": time.time(), "pid": os.getpid(), "number": proposal.number}
        with log.open("a") as file:  # one short line: appended whole
            file.write(json.dumps({**line, "settings": proposal.settings, "retry_of": proposal.retry_of}) + "\n")

    def objective(proposal: Proposal, report: Report) -> Outcome:
        note("begin", proposal)
        wait_for("release" if task["held"] else "go")
        for epoch in range(1, NUM_EPOCHS + 1):
            time.sleep(SECONDS / NUM_EPOCHS)
            report(epoch, epoch / NUM_EPOCHS)
        note("end", proposal)
        return Outcome(COMPLETE, float(proposal.settings["train.learning_rate"]))

    config = load_experiment("nuclei", path=Path(str(task["params"])), settings=task["settings"])  # type: ignore[arg-type]
    search = Search(
        study=str(task["study"]),
        config=config.tune,
        identity={},
        trials=int(str(task["trials"])),
        seed=7,
        folder=Path(str(task["folder"])),
        storage=str(task["storage"]),
    )
    tuner = open_search("optuna", search)
    (log.parent / f"ready-{os.getpid()}").touch()
    wait_for("go-held" if task["held"] else "go")
    tuner.run(objective, say=lambda text: print(text, flush=True))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

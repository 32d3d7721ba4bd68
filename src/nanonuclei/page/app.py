"""The page's application: which request is answered by what. Work is done in threads, for a few requests at a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import anyio
import cv2
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from nanonuclei import __version__
from nanonuclei.errors import DataError, NanonucleiError
from nanonuclei.page.controls import checked_values, shown_controls
from nanonuclei.page.door import UPLOAD
from nanonuclei.page.outcome import FILES, outcome, shown_measures
from nanonuclei.page.uploads import Upload, Uploads
from nanonuclei.page.view import described, parse_view
from nanonuclei.page.workbench import Workbench
from nanonuclei.serving.origin import CHECK
from nanonuclei.serving.shipped.provenance import EXAMPLES

STATIC = Path(__file__).parent / "static"

AT_A_TIME = 4
"""Requests that are worked on; the others wait, so that few images are in memory."""

MOST_EXAMPLES = 4

_logger = logging.getLogger(__name__)
Answer = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


class Page:
    """Answers the requests of the page.

    Args:
        workbench: Finds objects with a model.
        uploads: The images on the page.
        max_bytes: Largest image file.
    """

    def __init__(self, workbench: Workbench, uploads: Uploads, *, max_bytes: int) -> None:
        self._workbench, self._uploads, self._max_bytes = workbench, uploads, max_bytes
        self._examples = _examples(workbench)
        self._limiter: anyio.CapacityLimiter | None = None

    def application(self) -> Starlette:
        """Returns the application, without the door before it."""
        image = UPLOAD + "/{key}"
        routes = [
            Route("/", _answered(self._index)),
            Route("/api/model", _answered(self._model)),
            Route("/api/examples/{number:int}", _answered(self._example_picture)),
            Route("/api/examples/{number:int}", _answered(self._take_example), methods=["POST"]),
            Route(UPLOAD, _answered(self._upload), methods=["POST"]),
            Route(image, _answered(self._remove), methods=["DELETE"]),
            Route(f"{image}/picture", _answered(self._picture)),
            Route(f"{image}/objects", _answered(self._objects), methods=["POST"]),
            Route(f"{image}/files/{{kind}}", _answered(self._file)),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        return Starlette(routes=routes)

    async def _index(self, request: Request) -> Response:
        return Response((STATIC / "index.html").read_bytes(), media_type="text/html")

    async def _model(self, request: Request) -> Response:
        """Tells the model, its limits, and what may be changed."""
        workbench, reader = self._workbench, self._workbench.reader
        lines, provenance = workbench.opened.trained_on(), workbench.opened.named.provenance
        number = "" if provenance is None else f", {provenance.data.images.get('train', 0):,} of them"
        return JSONResponse(
            {
                "version": __version__,
                "head": [f"{lines[0].partition(' (')[0]}{number}.", *lines[1:]],
                "limits": [*reader.cautions, lines[0]],
                "one": reader.noun.one,
                "many": reader.noun.many,
                "controls": shown_controls(reader),
                "files": FILES,
                "examples": [name for name, _ in self._examples],
                "max_bytes": self._max_bytes,
            }
        )

    async def _upload(self, request: Request) -> Response:
        """Takes an image: the body is its file, the header ``x-file-name`` its name, percent-encoded."""
        path = self._uploads.new_path()
        try:
            with path.open("wb") as file:
                async for part in request.stream():
                    file.write(part)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return await self._kept(path, unquote(request.headers.get("x-file-name", "image"))[:1000])

    async def _take_example(self, request: Request) -> Response:
        name, content = self._example(request)
        path = self._uploads.new_path()
        path.write_bytes(content)
        return await self._kept(path, f"{name}.png")

    async def _example_picture(self, request: Request) -> Response:
        return Response(self._example(request)[1], media_type="image/png")

    def _example(self, request: Request) -> tuple[str, bytes]:
        number = int(request.path_params["number"])
        if not number < len(self._examples):
            raise DataError(f"no example {number}; there are {len(self._examples)}, from 0. Load the page again")
        return self._examples[number]

    async def _kept(self, path: Path, name: str) -> Response:
        upload, removed = await self._work(lambda: self._uploads.keep(path, name))
        self._workbench.forget(removed)
        bench = self._workbench
        return JSONResponse(await self._work(partial(described, upload, bench.reader, bench.evident_channel)))

    async def _remove(self, request: Request) -> Response:
        key = request.path_params["key"]
        self._uploads.remove(key)
        self._workbench.forget([key])
        return Response(status_code=204)

    async def _picture(self, request: Request) -> Response:
        upload, view = self._asked(request), parse_view(_json(request.query_params.get("view", "")))
        content = await self._work(partial(self._workbench.picture, upload, view))
        return Response(content, media_type="image/png")

    async def _objects(self, request: Request) -> Response:
        upload, reader = self._asked(request), self._workbench.reader
        asked = _json((await request.body()).decode(errors="replace"))
        if not isinstance(asked, dict):
            raise DataError("a request must be an object with view and values. Load the page again")
        view, values = parse_view(asked.get("view")), checked_values(reader, asked.get("values", {}))

        def answer() -> bytes:
            looked = self._workbench.look(upload, view, values)
            told = {**outcome(looked.found, reader), "measures": shown_measures(looked.measures, reader.config.task)}
            told |= {"choice": looked.choice, "network": looked.ran, "seconds": round(looked.seconds, 3)}
            hint = " Choose a channel, if one colour alone shows them." if view.channel is None else ""
            told["unlike"] = f"Unlike the training images: {looked.unlike}. {CHECK}{hint}" if looked.unlike else ""
            told["pixel_size"] = looked.found.pixel_size
            told["height"], told["width"] = looked.found.image.shape[:2]
            return json.dumps(told, allow_nan=False, separators=(",", ":")).encode()

        return Response(await self._work(answer), media_type="application/json")

    async def _file(self, request: Request) -> Response:
        upload, query = self._asked(request), request.query_params
        view = parse_view(_json(query.get("view", "")))
        values = checked_values(self._workbench.reader, _json(query.get("values", "{}")))
        kind = request.path_params["kind"]
        work = partial(self._workbench.file, upload, view, values=values, kind=kind)
        name, media, content = await self._work(work)
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        return Response(content, headers={"content-type": media, "content-disposition": disposition})

    def _asked(self, request: Request) -> Upload:
        return self._uploads.get(request.path_params["key"])

    async def _work(self, call: Callable[[], T]) -> T:
        """Runs what takes long in a thread, when its turn comes."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(AT_A_TIME)
        return await anyio.to_thread.run_sync(call, limiter=self._limiter)


def _answered(answer: Answer) -> Answer:
    """Returns a function that tells errors in one sentence, without a path or a stack trace."""

    async def told(request: Request) -> Response:
        try:
            return await answer(request)
        except NanonucleiError as error:
            sentence = " ".join(str(error).split()).encode(errors="replace").decode()  # JSON may hold half characters
            return JSONResponse({"message": sentence}, status_code=400)
        except ClientDisconnect:
            return Response(status_code=400)
        except MemoryError:
            sentence = "this machine has too little memory for the image. Cut it into parts"
            return JSONResponse({"message": sentence}, status_code=400)
        except Exception:
            _logger.exception("a request failed")
            return JSONResponse({"message": "the page failed on this; the terminal says why"}, status_code=500)

    return told


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("a request must be JSON. Load the page again") from error


def _examples(workbench: Workbench) -> list[tuple[str, bytes]]:
    """Returns the example images that lie beside the model, the largest first; else the task's own."""
    folder = workbench.opened.named.folder / EXAMPLES
    found = [(path.stem, path.read_bytes()) for path in sorted(folder.glob("*.png"))] if folder.is_dir() else []
    if found:
        return sorted(found, key=lambda example: -len(example[1]))[:MOST_EXAMPLES]
    return [("example", bytes(cv2.imencode(".png", workbench.reader.example())[1].tobytes()))]

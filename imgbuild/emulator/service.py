"""What the dialects of one emulator share: the bill, the tasks, the faults, and the results' addresses."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from imgbuild.core.errors import UsageError
from imgbuild.core.image import Json, Size
from imgbuild.emulator import pictures
from imgbuild.emulator.faults import Fault, FaultBook, Problem, Stage
from imgbuild.emulator.ledger import Charge, Ledger, Order
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.tasks import Task, duration
from imgbuild.emulator.wire import CutShort, NoAnswer, Silence

_HTML = b"<!doctype html><title>Please sign in</title><p>Your session has expired.</p>"
_STRUCK_POLLS = 2
"""How many queries of a task the faults of queries strike."""

ErrorShape = Callable[[Problem], Response]


class Service:
    """One emulated service. Everything happens on one event loop, so that nothing needs a lock."""

    def __init__(self, options: EmulatorOptions) -> None:
        self.options = options
        self.ledger = Ledger(options.ledger_file)
        self._faults = FaultBook(options.fault)
        self._tasks: dict[str, Task] = {}
        self._run = secrets.token_hex(4)
        self._submissions = 0

    def lacks_key(self, request: Request) -> bool:
        """Whether a key is required and the request brings none."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self.options.require_key and not (scheme.lower() == "bearer" and token.strip())

    def submit(self, order: Order, error: ErrorShape, answer: Callable[[Task], Response]) -> Response:
        """Accept an order, or let a fault strike. `error` and `answer` are the dialect's shapes."""
        accepted = self.accept(order, error)
        return accepted if isinstance(accepted, Response) else answer(accepted)

    def accept(self, order: Order, error: ErrorShape) -> Task | Response:
        """The charged task, or what a fault answers in its place."""
        try:
            fault = self._faults.strike(order.prompt)
        except UsageError as unknown:
            return error(Problem(HTTPStatus.BAD_REQUEST, "unknown_fault", f"{unknown}: {unknown.remedy}"))
        if fault is not None and fault.stage is Stage.REFUSED:
            return error(fault.problem) if fault.problem else NoAnswer()
        task = self._accept(order, fault)
        if fault is not None and fault.stage is Stage.LOST:
            if fault.problem:
                return error(fault.problem)
            return Silence() if fault.name == "hang-after-accept" else NoAnswer()
        return task

    def query(self, task_id: str, error: ErrorShape, answer: Callable[[Task], Response]) -> Response:
        """Answer a query about a task, or let the task's fault strike."""
        task = self._tasks.get(task_id)
        if task is None:
            return error(Problem(HTTPStatus.NOT_FOUND, "task_not_exist", "There is no such task."))
        task.polls += 1
        fault = task.fault
        if fault is not None and fault.stage is Stage.POLL and task.polls <= _STRUCK_POLLS:
            return error(fault.problem) if fault.problem else NoAnswer()
        return answer(task)

    def result_urls(self, task: Task, request: Request) -> list[str]:
        """Where the results of a task are, on the address that the client used."""
        return [str(request.url_for("result", task_id=task.id, name=name)) for name in task.names()]

    async def result(self, request: Request) -> Response:
        """The bytes of a result, without asking for a key: links are public, as with the real services."""
        self.ledger.count("GET /files/{task_id}/{name}")
        task = self._tasks.get(request.path_params["task_id"])
        name = request.path_params["name"]
        if task is None or name not in task.names() or task.state(self.now()) != "succeeded":
            return PlainTextResponse("no such file", HTTPStatus.NOT_FOUND)
        task.fetches += 1
        if task.struck_by("expired-link") or (task.struck_by("flaky-link") and task.fetches == 1):
            return PlainTextResponse("the link has expired", HTTPStatus.NOT_FOUND)
        body = await self.picture(task, name)
        shape = CutShort if task.struck_by("truncated") else Response
        return shape(body, media_type=f"image/{task.order.format}")

    async def picture(self, task: Task, name: str) -> bytes:
        """The bytes of one of a task's results, or what a fault has made of them."""
        if task.struck_by("empty"):
            return b""
        if task.struck_by("html"):
            return _HTML
        size, format = task.order.pixels, task.order.format
        if task.struck_by("wrong-size"):
            size = Size(max(1, size.width * 3 // 4), max(1, size.height * 3 // 4))
        if task.struck_by("wrong-format"):
            format = "jpeg" if format == "png" else "png"
        return await run_in_threadpool(pictures.draw, f"{task.id}/{name}", size, format)

    def report(self) -> dict[str, Json]:
        """The ledger, with each task's state at this moment."""
        now = self.now()
        return self.ledger.report(
            lambda task_id: self._tasks[task_id].state(now), refund_failed=self.options.refund_failed
        )

    def reset(self) -> None:
        """Forget the bill, the tasks and the faults' counts. Numbers go on: no id is used twice."""
        self.ledger.clear()
        self._tasks.clear()
        self._faults.forget()

    def now(self) -> float:
        """Seconds of the clock that tasks live by."""
        return time.monotonic()

    def _accept(self, order: Order, fault: Fault | None) -> Task:
        self._submissions += 1
        seconds = duration(self._submissions, self.options.latency, self.options.jitter, fault)
        task = Task(f"task_{self._run}{self._submissions:06}", order, self.now(), seconds, fault)
        self._tasks[task.id] = task
        self.ledger.charge(
            Charge(
                time=time.time(),
                task_id=task.id,
                units=self.options.price * order.n,
                seconds=seconds,
                fault=fault.name if fault else None,
                order=order,
            )
        )
        return task

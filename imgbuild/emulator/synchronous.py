"""Services that answer a submission with its pictures: charged at once, answered when the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from starlette.responses import Response

from imgbuild.emulator.faults import Problem
from imgbuild.emulator.ledger import Order
from imgbuild.emulator.service import ErrorShape, Service
from imgbuild.emulator.tasks import Task
from imgbuild.emulator.wire import CutShort


async def answer_at_once(
    service: Service, order: Order, error: ErrorShape, answer: Callable[[Task, list[bytes]], Response]
) -> Response:
    """Accept an order, take the time that it takes, and answer with its pictures.

    `error` and `answer` are the dialect's shapes. What fails a task elsewhere is an error here: HTTP 400
    for reasons of content policy, else HTTP 500; the order was charged by then.
    """
    task = service.accept(order, error)
    if isinstance(task, Response):
        return task
    await asyncio.sleep(task.seconds)
    failure = task.failure()
    if failure:
        refused = task.struck_by("refuse")
        status = HTTPStatus.BAD_REQUEST if refused else HTTPStatus.INTERNAL_SERVER_ERROR
        return error(Problem(status, *failure))
    response = answer(task, [await service.picture(task, name) for name in task.names()])
    return (
        CutShort(response.body, headers=dict(response.headers)) if task.struck_by("truncated") else response
    )

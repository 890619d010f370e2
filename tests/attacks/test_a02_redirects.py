"""A02: redirects to other hosts, to plain http, to metadata services, in circles; the key follows none of them."""

from __future__ import annotations

import pytest
from attack_cases import sample
from hostile_service import HostileService, Reply
from project_folder import ProjectFolder


def redirect(to: str, status: int = 302) -> Reply:
    return status, {"Location": to}, b""


def test_a_result_that_is_redirected_to_another_host_takes_nothing_along(
    project: ProjectFolder, service: HostileService, elsewhere: HostileService
) -> None:
    project.manifest(service.manifest())
    service.links(f"{service.url}/picture.png?token=abc")
    service.picture = lambda path: redirect(f"{elsewhere.url}/picture.png")
    project.json("build", code=1)
    assert elsewhere.got, "the redirect was followed"
    for got in elsewhere.got:
        assert set(got.headers) == {"host", "accept", "accept-encoding", "user-agent"}
        assert project.environ["STUDIO_KEY"] not in str(got)
        assert "token=abc" not in str(got)


@pytest.mark.parametrize("status", sample([307, 301, 303, 308], 4))
def test_the_api_itself_is_never_followed_elsewhere(
    project: ProjectFolder, service: HostileService, elsewhere: HostileService, status: int
) -> None:
    project.manifest(service.manifest())
    service.submit = lambda: redirect(f"{elsewhere.url}/v1/images/tasks", status)
    run = project.json("build", code=1)
    assert elsewhere.got == []
    assert service.submissions == 1
    assert run.summary["generated"] == 0


def test_a_poll_that_is_redirected_leaves_the_task_open(
    project: ProjectFolder, service: HostileService, elsewhere: HostileService
) -> None:
    project.manifest(service.manifest())
    service.poll = lambda: redirect(f"{elsewhere.url}/v1/images/tasks/t-1")
    project.json("build", code=1)
    assert elsewhere.got == []


@pytest.mark.parametrize(
    ("to", "most"),
    [("/again", 8), ("//169.254.169.254/latest", 2), ("file:///etc/passwd", 2)],
)
def test_circles_and_forbidden_places_end(
    project: ProjectFolder, service: HostileService, to: str, most: int
) -> None:
    project.manifest(service.manifest())
    service.links(f"{service.url}/picture.png")
    service.picture = lambda path: redirect(to)
    run = project.json("build", code=1)
    (image,) = (event for event in run.events if event["event"] == "image")
    assert image["error"]["kind"] == "unusable"
    # A task whose result cannot be used is asked once more.
    fetches = [got for got in service.got if "tasks" not in got.path]
    assert 1 <= len(fetches) <= most
    assert service.submissions == 1

"""A03: the key comes out nowhere: not from echoes, literals in manifests, other people's names for it, or addresses."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from attack_cases import sample
from hostile_service import HostileService, answer
from project_folder import ProjectFolder, Run

KEY = 'sk-canary-/7f3a+%41=\\"x'
FORMS = (KEY, quote(KEY, safe=""), json.dumps(KEY)[1:-1])


def assert_nowhere(project: ProjectFolder, *runs: Run) -> None:
    for run in runs:
        for form in FORMS:
            assert form not in run.out
            assert form not in run.err
    for path in project.root.parent.rglob("*"):
        assert not any(form in str(path) for form in FORMS)
        if path.is_file() and path.name != ".env":
            content = path.read_bytes()
            assert not any(form.encode() in content for form in FORMS), path


ECHOES = {
    "refused": lambda text: answer({"error": {"message": f"bad key {text}", "code": text}}, 400),
    "unauthorised": lambda text: answer({"error": text}, 401),
    "no JSON": lambda text: (500, {"X-Echo": quote(text)}, text.encode()),
    "task id": lambda text: answer({"task_id": text, "status": "NOT_START"}),
    "status": lambda text: answer({"task_id": "t-1", "status": text}),
    "failed": lambda text: answer({"task_id": "t-1", "status": "FAILURE", "fail_reason": f"no: {text}"}),
    "result": lambda text: answer(
        {"task_id": "t-1", "status": "SUCCESS", "result_url": f"http://127.0.0.1:1/{quote(text)}"}
    ),
    "usage": lambda text: answer(
        {
            "task_id": "t-1",
            "status": "SUCCESS",
            "result_url": "data:image/png;base64,aGk=",
            "usage": {text: text},
        }
    ),
}


@pytest.mark.parametrize("where", sample(ECHOES, 3))
def test_a_service_that_echoes_the_key(project: ProjectFolder, service: HostileService, where: str) -> None:
    project.manifest(service.manifest(timeout="2s").replace("deadline: 20s", "deadline: 1s"))
    project.environ["STUDIO_KEY"] = KEY
    service.submit = lambda: ECHOES[where](KEY)
    service.poll = service.submit
    runs = [project.run("build", "-v"), project.run("jobs"), project.run("plan", "--output-format", "json")]
    assert runs[0].code == 1, runs[0].err
    assert service.got[0].headers["authorization"] == f"Bearer {KEY}"
    assert_nowhere(project, *runs)


LITERALS = (
    f"providers: {{studio: {{type: openai, api_key: {json.dumps(KEY)}}}}}",
    f"providers: {{studio: {{type: openai, apikey: {json.dumps(KEY)}}}}}",
    f"providers: {{studio: {{type: openai, api_key: [{json.dumps(KEY)}]}}}}",
    f"providers:\n  studio:\n    type: openai\n    api_key: ${{KEY}}{KEY!r}",
    f"providers:\n  studio:\n    type: openai\n    api_key: >-\n      {KEY}\n",
    f"providers: {{studio: {{type: openai, base_url: 'https://{quote(KEY)}@x.example'}}}}",
    f"providers: {{studio: {{type: openai, base_url: 'https://x.example/?key={quote(KEY)}'}}}}",
    f"providers: {{studio: {{type: http, api_key: '${{K}}', base_url: 'https://x.example', "
    f"submit: {{path: /x, json: {{prompt: '{{{{ prompt }}}}', token: {json.dumps(KEY)}}}}}}}}}",
    f"providers: {{studio: {{type: http, api_key: '${{K}}', base_url: 'https://x.example', "
    f"submit: {{path: /x, headers: {{X-Api-Key: {json.dumps(KEY)}}}, json: {{prompt: '{{{{ prompt }}}}'}}}}}}}}",
)


@pytest.mark.parametrize("text", sample(LITERALS, 3))
def test_a_key_written_into_a_manifest_is_an_error_that_does_not_show_it(
    project: ProjectFolder, text: str
) -> None:
    project.manifest(f"version: 1\n{text}\nimages: {{a: {{prompt: p, output: a.png, size: 1024x1024}}}}\n")
    for words in (["check"], ["check", "--output-format", "json"], ["build", "--output-format", "github"]):
        run = project.run(*words)
        assert run.code == 2, run.out
        for form in (*FORMS, quote(KEY)):
            assert form not in run.out + run.err

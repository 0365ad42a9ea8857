"""spec/openapi.yaml is true: a real server is asked all that it allows and more, and answers as it says."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from asking import bundle_of
from runmaker import make_run, read, write

SPEC = Path(__file__).parents[2] / "spec"
DOCUMENT = yaml.safe_load((SPEC / "openapi.yaml").read_text())
API = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [
    (method.upper(), path)
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if method in ("get", "post", "patch", "delete")
]
CHECKS = [
    not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance,
]  # fmt: skip
EXAMPLES = 40


@schemathesis.serializer("application/x-tar")
def as_it_is(_, value):
    return value if isinstance(value, bytes) else json.dumps(value, default=str).encode()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_operation_answers_as_its_description_says(server, data, runs, method, path):
    """Of a run that is there, of others, and of anything that is no run."""
    run = make_run(data)
    write(run / "edits.json", {"/notes": {"value": "x", "time": 1, "author": "x"}})
    other = bundle_of(make_run(runs, "other"))
    uids = st.sampled_from([read(run / "run.json")["uid"], "0" * 8 + "-0000-0000-0000-" + "0" * 12])
    operation = API[path][method]
    cases = operation.as_strategy()
    if path != "/v1":  # where there is nothing to do wrong
        cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, uid=uids, real=st.booleans())
    def ask(case, uid, real):
        if real and case.path_parameters and "uid" in case.path_parameters:
            case.path_parameters["uid"] = uid
            case.path_parameters |= {"path": "metrics.jsonl"} if "{path}" in path else {}
        if real and path == "/v1/bundles":
            case.body = other
            case.headers = {}
        answer = case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=60)
        statuses.add(answer.status_code)

    statuses = set()
    ask()
    assert 200 in statuses
    assert path == "/v1" or statuses & {400, 404, 415}


def test_description_and_server_have_the_same_requests(server):
    said = {(method, path) for method, path in OPERATIONS}
    app = server._server.config.app._app
    served = {
        (method, re.sub(":path", "", route.path))
        for route in app.routes
        for method in route.methods - {"HEAD"}
        if route.path.startswith("/v1")
    }
    assert said == served


def test_description_and_specification_have_the_same_requests():
    table = re.findall(r"^\| `(\w+) (\S+)` \|", (SPEC / "remote.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(OPERATIONS)


def test_examples_of_the_specification_fit_the_description():
    """The JSON blocks of remote.md, in their order."""
    schemas = ["About", "Question", "Answer", "Refusals", "Page", "Spans", "Description"]
    for question in ("Keys", "Curves", "Objects", "Pulse"):
        schemas += [f"{question}Asked", question]
    blocks = re.findall(r"^```json\n(.*?)^```", (SPEC / "remote.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == len(schemas)
    for block, name in zip(blocks, schemas, strict=True):
        schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(json.loads(block))

"""The line that the log has of a request: what was asked, for machines too, and no secret."""

import json
import logging

import pytest
from starlette.testclient import TestClient

from astrid_core.logs import JsonFormatter


def test_a_request_is_one_line_with_its_numbers_and_without_its_query(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "astrid_api"):
        client.get("/sign-in?link=hunter2")
    (record,) = [record for record in caplog.records if record.name == "astrid_api.headers"]
    line = json.loads(JsonFormatter().format(record))
    assert (line["method"], line["path"], line["status"]) == ("GET", "/sign-in", 200)
    assert line["took_ms"] >= 0
    assert "hunter2" not in caplog.text + json.dumps(line)

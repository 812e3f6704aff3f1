"""The session of archives: where it goes, how politely, what the user reads when it fails."""

import datetime as dt
import email.utils
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from astrid_core.errors import (
    ConfigurationError,
    ForbiddenAddressError,
    SurveyRefusedError,
    SurveyUnavailableError,
)
from astrid_core.remote.network import Gate, Turns, why_not
from astrid_core.remote.session import USER_AGENT, ArchiveSession
from tests.archive_server import (
    ArchiveServer,
    Reply,
    busy,
    cut,
    hang_up,
    redirect,
    round_and_round,
    slow,
    status,
)
from tests.archives import options


@pytest.fixture
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        server.put("/page", b"what was asked for")
        yield server


def open_session(archive: ArchiveServer, tmp_path: Path, **changes: Any) -> ArchiveSession:
    return ArchiveSession("mine", options(archive, tmp_path, **changes))


def test_an_answer_comes_whole_and_the_archive_knows_who_asks(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    response = open_session(archive, tmp_path).ask("GET", archive.url("/page"))

    assert response.content == b"what was asked for"
    assert archive.log[0].headers["user-agent"] == USER_AGENT
    assert "AstrID/" in USER_AGENT


def test_clients_may_stream_an_answer_as_pyvo_does(archive: ArchiveServer, tmp_path: Path) -> None:
    response = open_session(archive, tmp_path).get(archive.url("/page"), stream=True)

    assert response.raw.read(decode_content=True) == b"what was asked for"
    assert b"".join(response.iter_content(5)) == b"what was asked for"


@pytest.mark.parametrize("fault", [status(500), status(503), busy("0"), cut, hang_up])
def test_passing_trouble_is_asked_again(archive: ArchiveServer, tmp_path: Path, fault: Any) -> None:
    archive.fault("/page", fault, fault)

    response = open_session(archive, tmp_path).ask("GET", archive.url("/page"))

    assert response.content == b"what was asked for"
    assert len(archive.log) == 3


def test_trouble_that_stays_names_survey_host_and_remedy(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    archive.always("/page", status(503))

    with pytest.raises(SurveyUnavailableError) as caught:
        open_session(archive, tmp_path, attempts=3).ask("GET", archive.url("/page?token=s3cret"))

    assert len(archive.log) == 3
    message = str(caught.value)
    assert f"Survey 'mine': {archive.host}/page is unavailable" in message
    assert "http_status=503" in message
    assert "Materialize the partition again" in message
    assert "s3cret" not in message


def test_a_slow_archive_is_unavailable(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.always("/page", slow(1.0))
    session = open_session(archive, tmp_path, attempts=1, timeout_s=0.1)

    with pytest.raises(SurveyUnavailableError, match="cannot be reached: ReadTimeout"):
        session.ask("GET", archive.url("/page"))


def test_a_refusal_is_not_asked_again_and_says_what_the_archive_says(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    with pytest.raises(SurveyRefusedError, match=r"HTTP 404 .*being maintained") as caught:
        open_session(archive, tmp_path).ask("GET", archive.url("/nothing"))

    assert len(archive.log) == 1
    assert not caught.value.transient


def test_an_answer_without_end_is_refused(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.put("/large", bytes(2 << 20))

    with pytest.raises(SurveyRefusedError, match="more than max_answer_mib"):
        open_session(archive, tmp_path, max_answer_mib=1).get(archive.url("/large"), stream=True)


# --- patience -------------------------------------------------------------------------------


def test_retry_after_is_waited_for(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.fault("/page", busy("1"))

    open_session(archive, tmp_path, longest_wait_s=5).ask("GET", archive.url("/page"))

    first, second = archive.log
    assert second.at - first.at >= 1.0


def test_retry_after_may_be_a_date(archive: ArchiveServer, tmp_path: Path) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    archive.fault("/page", busy(email.utils.format_datetime(soon, usegmt=True)))

    open_session(archive, tmp_path, longest_wait_s=5).ask("GET", archive.url("/page"))

    first, second = archive.log
    assert second.at - first.at >= 0.9  # dates are in whole seconds


def test_an_archive_that_wants_a_long_pause_is_left_alone(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    archive.always("/page", busy("3600"))

    with pytest.raises(SurveyUnavailableError, match=r"retry_after_s=3600\.0"):
        open_session(archive, tmp_path, longest_wait_s=1).ask("GET", archive.url("/page"))

    assert len(archive.log) == 1


def test_requests_are_paced_and_bounded(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.always("/page", slow(0.05))
    session = open_session(archive, tmp_path, parallel=3, rate_per_s=50)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: session.ask("GET", archive.url("/page")), range(12)))

    moments = sorted(asked.at for asked in archive.log)
    assert archive.most_at_once <= 3
    assert moments[-1] - moments[0] >= 11 / 50 - 0.05


def test_a_pause_holds_for_those_who_have_their_turn_already(tmp_path: Path) -> None:
    now = [1000.0]
    turns = Turns(tmp_path / "host", 600, clock=lambda: now[0])
    gate = Gate(turns, 10, 1, sleep=lambda s: now.__setitem__(0, now[0] + s))
    gate.pause(30)

    with gate.passage():
        assert now[0] >= 1030


def test_all_who_share_a_cache_are_one_visitor(archive: ArchiveServer, tmp_path: Path) -> None:
    sessions = [open_session(archive, tmp_path, rate_per_s=20) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for session in sessions:
            for _ in range(5):
                pool.submit(session.ask, "GET", archive.url("/page"))

    moments = sorted(asked.at for asked in archive.log)
    assert len(moments) == 20
    assert moments[-1] - moments[0] >= 19 / 20 - 0.05


def test_a_clock_that_was_set_back_is_no_endless_pause(tmp_path: Path) -> None:
    now = [5000.0]
    turns = Turns(tmp_path / "host", 600, clock=lambda: now[0])
    turns.pause(100)
    turns.take(1)
    now[0] = 10.0

    assert turns.pause_left_s() == 0
    assert turns.take(1) == 0


def test_a_cache_that_cannot_be_written_is_named(archive: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be written to") as caught:
        open_session(archive, tmp_path / "file").ask("GET", archive.url("/page"))

    assert "archive.cache_dir" in caught.value.remedy


def test_a_stopped_session_ends_its_waiting(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.always("/page", busy("60"))
    session = open_session(archive, tmp_path, longest_wait_s=60)
    threading.Timer(0.3, session.stop.set).start()
    started = time.monotonic()

    with pytest.raises(Exception, match="were stopped"):
        session.ask("GET", archive.url("/page"))

    assert time.monotonic() - started < 10


# --- where it may go ------------------------------------------------------------------------


def test_redirects_are_followed_hop_by_hop(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.always("/moved", redirect("/page"))

    response = open_session(archive, tmp_path).ask("GET", archive.url("/moved"))

    assert response.content == b"what was asked for"
    assert response.url == archive.url("/page")


def test_a_posted_query_is_posted_again_by_a_307(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.always("/moved", redirect("/query", 307))
    archive.answer("/query", lambda asked: Reply(asked.method.encode() + b" " + asked.body))

    response = open_session(archive, tmp_path).post(archive.url("/moved"), data={"q": "sky"})

    assert response.content == b"POST q=sky"


def test_endless_redirects_end(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.always("/page", round_and_round)

    with pytest.raises(SurveyRefusedError, match="redirects more than 3 times"):
        open_session(archive, tmp_path, redirects=3).ask("GET", archive.url("/page"))

    assert len(archive.log) == 4


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/file.fits",
        "ftp://127.0.0.1/file.fits",
        "file:///etc/passwd",
        "http://user:password@127.0.0.1/",
        "http://127.0.0.1:1/other-port",
    ],
)
def test_a_redirect_may_not_lead_anywhere(archive: ArchiveServer, tmp_path: Path, url: str) -> None:
    archive.always("/page", redirect(url))

    with pytest.raises(ForbiddenAddressError) as caught:
        open_session(archive, tmp_path).ask("GET", archive.url("/page"))

    assert "Survey 'mine' is led to" in str(caught.value)
    assert "password@" not in str(caught.value)
    assert len(archive.log) == 1


def test_loopback_needs_allow_private(archive: ArchiveServer, tmp_path: Path) -> None:
    with pytest.raises(ForbiddenAddressError, match="a private or loopback address") as caught:
        open_session(archive, tmp_path, allow_private=False).ask("GET", archive.url("/page"))

    assert "archive.allow_private" in caught.value.remedy
    assert archive.log == []


def test_encrypted_connections_are_guarded_before_their_handshake(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    session = open_session(archive, tmp_path, allow_private=False)

    with pytest.raises(ForbiddenAddressError, match="a private or loopback address"):
        session.ask("GET", f"https://{archive.host}/page")


def test_an_innocent_name_for_a_private_address_is_no_way_round(
    archive: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def rebound(host: str, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1" if host == "archive.example.org" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    port = archive.host.rsplit(":", 1)[1]
    named = f"archive.example.org:{port}"
    session = open_session(archive, tmp_path, allow_private=False, allowed_hosts=[named])

    with pytest.raises(ForbiddenAddressError, match=r"archive\.example\.org leads to 127\.0\.0\.1"):
        session.ask("GET", f"http://{named}/page")

    assert archive.log == []


@pytest.mark.parametrize(
    ("address", "allow_private", "is_allowed"),
    [
        ("130.167.201.60", False, True),
        ("10.0.0.1", False, False),
        ("10.0.0.1", True, True),
        ("::1", False, False),
        ("::ffff:192.168.0.1", False, False),
        ("2002:0a00:0001::1", False, False),
        ("100.64.0.1", False, False),
        ("169.254.169.254", True, False),
        ("fe80::1%eth0", True, False),
        ("0.0.0.0", True, False),
    ],
)
def test_addresses_are_judged(address: str, allow_private: bool, is_allowed: bool) -> None:
    assert (why_not(address, allow_private) is None) == is_allowed


def test_proxies_and_netrc_of_the_machine_are_not_used(
    archive: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    open_session(archive, tmp_path).ask("GET", archive.url("/page"))

    assert "authorization" not in archive.log[0].headers


# --- credentials ----------------------------------------------------------------------------


def test_credentials_go_to_their_host_alone(
    archive: ArchiveServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MY_ARCHIVE_TOKEN", "s3cret")
    caplog.set_level(logging.DEBUG)
    with ArchiveServer() as elsewhere:
        elsewhere.put("/page", b"public")
        archive.always("/moved", redirect(elsewhere.url("/page")))
        session = open_session(
            archive,
            tmp_path,
            allowed_hosts=[archive.host, elsewhere.host],
            credentials=[
                {"host": archive.host, "scheme": "token", "secret_env": "MY_ARCHIVE_TOKEN"}
            ],
        )

        assert session.ask("GET", archive.url("/moved")).content == b"public"

        assert archive.log[0].headers["authorization"] == "token s3cret"
        assert "authorization" not in elsewhere.log[0].headers
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(session.rules)


def test_a_client_s_own_secret_does_not_cross_hosts(archive: ArchiveServer, tmp_path: Path) -> None:
    with ArchiveServer() as elsewhere:
        elsewhere.put("/page", b"public")
        archive.always("/moved", redirect(elsewhere.url("/page")))
        both = [archive.host, elsewhere.host]
        session = open_session(archive, tmp_path, allowed_hosts=both)

        session.get(archive.url("/moved"), headers={"Authorization": "Bearer mine"})

        assert archive.log[0].headers["authorization"] == "Bearer mine"
        assert "authorization" not in elsewhere.log[0].headers


def test_credentials_that_are_not_set_are_named(
    archive: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_ARCHIVE_TOKEN", raising=False)
    credential = {"host": archive.host, "secret_env": "MY_ARCHIVE_TOKEN"}

    with pytest.raises(ConfigurationError, match="MY_ARCHIVE_TOKEN, which is not set"):
        open_session(archive, tmp_path, credentials=[credential])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"allowed_hosts": []}, "at least 1 item"),
        ({"allowed_hosts": ["https://mast.stsci.edu"]}, "no scheme"),
        ({"rate_per_s": 0}, "greater than 0"),
        ({"parallel": 100}, "less than or equal to 16"),
        (
            {"credentials": [{"host": "example.org", "secret_env": "X"}]},
            "credentials for example.org, which is no allowed host",
        ),
        ({"patience": 3}, "Extra inputs are not permitted"),
    ],
)
def test_options_are_validated(
    archive: ArchiveServer, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        options(archive, tmp_path, **changes)


def test_it_is_a_requests_session(archive: ArchiveServer, tmp_path: Path) -> None:
    assert isinstance(open_session(archive, tmp_path), requests.Session)

"""The one session through which every archive and catalogue is asked, by whatever client.

What belongs here: a request from its first hop to its answer, in order or typed as failed.
What does not: what is asked (the adapters), files (``surveys.archive.download``).

It is a :class:`requests.Session`, so that astroquery and pyvo take it for theirs: what they
ask is checked, paced, retried and bounded as our own requests are.
"""

import datetime as dt
import email.utils
import logging
import os
import re
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from io import BytesIO
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.cookies import extract_cookies_to_jar
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    wait_random_exponential,
)
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from astrid_core.errors import (
    AstridError,
    ConfigurationError,
    DownloadStoppedError,
    ForbiddenAddressError,
    SurveyRefusedError,
    SurveyUnavailableError,
)
from astrid_core.remote.config import ArchiveOptions, Credential, made_folder
from astrid_core.remote.network import Gate, GuardedAdapter, Turns

_log = logging.getLogger(__name__)

USER_AGENT = f"AstrID/{version('astrid')} (astronomical image differencing)"
CHUNK_BYTES = 1 << 18
_MIB = 1 << 20
_TURNS_HORIZON_S = 600.0
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_TAG = re.compile(r"<[^>]*>")
_SAID_CHARACTERS = 160
BROKEN_BODY = (requests.RequestException, HTTPError, OSError)


class ArchiveSession(requests.Session):
    """A session that goes only where a survey's configuration lets it, politely.

    Neither ``~/.netrc`` nor proxy variables are read: credentials and ways are those of the
    configuration. Answers are read whole, up to ``max_answer_mib``; files go through
    :meth:`transfer`.

    Parameters
    ----------
    survey
        Name for messages.
    options
        Where to, how politely.

    Attributes
    ----------
    rules
        The options it was opened with.
    stop
        Set it and everything this session waits for ends with :class:`DownloadStoppedError`.

    Raises
    ------
    ConfigurationError
        If an environment variable that a credential names is not set.
    """

    def __init__(self, survey: str, options: ArchiveOptions) -> None:
        super().__init__()
        self.survey = survey
        self.rules = options
        self.stop = threading.Event()
        self.trust_env = False
        self.headers["User-Agent"] = USER_AGENT
        adapter = GuardedAdapter(allow_private=options.allow_private, connections=options.parallel)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self._secrets = {one.host: _authorization(survey, one) for one in options.credentials}
        self._gates: dict[str, Gate] = {}
        self._lock = threading.Lock()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request as clients do; its answer is whole and in memory.

        Answers that are no success but no passing trouble either (404) are returned: clients
        ask for what may not be there. :meth:`ask` refuses them.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached, is overloaded or breaks off, at the last attempt.
        SurveyRefusedError
            If it answers more than ``max_answer_mib`` or redirects without end, at once.
        ForbiddenAddressError
            If a hop leads where the configuration does not allow.
        """
        follow = bool(kwargs.get("allow_redirects", True))

        def attempt() -> requests.Response:
            with self._exchange(request, follow=follow) as response:
                return self._read(response)

        return patiently(self)(attempt)

    def ask(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        """A request whose answer must be a success.

        Raises
        ------
        SurveyRefusedError
            If it is not, with what the archive says; besides what :meth:`send` raises.
        """
        response = self.request(method, url, **kwargs)
        if not response.ok:
            raise self.refused(url, _said(response))
        return response

    @contextmanager
    def transfer(self, url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """One attempt at a file: its answer, unread, bytes as they are on the wire.

        Read it by ``response.raw.stream(CHUNK_BYTES, decode_content=False)``: what is stored
        must be what the archive sent.
        """
        asked = {"Accept-Encoding": "identity", **headers}
        request = self.prepare_request(requests.Request("GET", url, headers=asked))
        with self._exchange(request, follow=True) as response:
            yield response

    def refused(self, url: str, what: str) -> AstridError:
        """The error of an answer that is no use."""
        return SurveyRefusedError(
            f"Survey '{self.survey}': {place(url)} {what}.",
            remedy="Check what the survey asks for in its surveys.yaml entry; if the archive "
            "has changed or wants credentials, its options must say so.",
        )

    def unavailable(self, url: str, what: str, **details: object) -> AstridError:
        """The error of an archive that fails for the moment."""
        return SurveyUnavailableError(
            f"Survey '{self.survey}': {place(url)} {what}.",
            remedy="Materialize the partition again when the archive is back; what was fetched "
            "is not fetched again.",
            **details,
        )

    # --- hops -----------------------------------------------------------------------------

    @contextmanager
    def _exchange(
        self, request: requests.PreparedRequest, *, follow: bool
    ) -> Iterator[requests.Response]:
        """A request along its redirects, each hop checked, to an answer that is no trouble."""
        hop = request.copy()
        first = self._checked(str(hop.url))
        for _ in range(self.rules.redirects + 1):
            host = self._checked(str(hop.url))
            self._authorize(hop, is_first_host=host == first)
            with self._gate(host).passage():
                response = self._hop(hop)
                try:
                    target = self.get_redirect_target(response) if follow else None
                    if target is None:
                        self._check_trouble(response, host)
                        yield response
                        return
                finally:
                    response.close()
            hop = self._redirected(hop, response, target)
        raise self.refused(str(request.url), f"redirects more than {self.rules.redirects} times")

    def _hop(self, hop: requests.PreparedRequest) -> requests.Response:
        if self.stop.is_set():
            raise stopped(self.survey)
        started = time.perf_counter()
        url = str(hop.url)
        try:
            response = self.get_adapter(url).send(
                hop, stream=True, timeout=self.rules.timeout_s, verify=self.verify
            )
        except requests.RequestException as error:
            # Without its cause: that names the whole address, which may hold a signature.
            raise self.unavailable(url, f"cannot be reached: {type(error).__name__}") from None
        response.elapsed = dt.timedelta(seconds=time.perf_counter() - started)
        extract_cookies_to_jar(self.cookies, hop, response.raw)
        return response

    def _checked(self, url: str) -> str:
        """Host (with port) of an address that may be asked."""
        parts = urlsplit(url)
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        named = f"{host}:{port}" if port else host
        if parts.scheme not in ("http", "https") or not host or parts.username is not None:
            why = "is no plain http(s) address"
        elif not self.rules.allows(parts.scheme, host, port):
            why = "is not among its allowed hosts"
        else:
            return named
        raise ForbiddenAddressError(
            f"Survey '{self.survey}' is led to {parts.scheme}://{named}, which {why}.",
            remedy="If the archive does keep its files there, add the host to "
            "'archive.allowed_hosts' of the survey.",
        )

    def _authorize(self, hop: requests.PreparedRequest, *, is_first_host: bool) -> None:
        """Give a hop the credentials of its host, and no other's."""
        parts = urlsplit(str(hop.url))
        if not is_first_host:
            hop.headers.pop("Authorization", None)
        secret = self._secrets.get(host_of(str(hop.url))) or self._secrets.get(str(parts.hostname))
        if secret and (parts.scheme == "https" or self.rules.allow_private):
            hop.headers["Authorization"] = secret

    def _redirected(
        self, hop: requests.PreparedRequest, response: requests.Response, target: str
    ) -> requests.PreparedRequest:
        """The request that a redirect asks for, cookies chosen anew."""
        following = hop.copy()
        following.url = requests.utils.requote_uri(urljoin(str(hop.url), target))
        if urlsplit(str(hop.url)).scheme == "https" and following.url.startswith("http:"):
            raise self.refused(str(hop.url), "redirects from https to plain http")
        self.rebuild_method(following, response)
        if response.status_code not in (307, 308):
            for name in ("Content-Length", "Content-Type", "Transfer-Encoding"):
                following.headers.pop(name, None)
            following.body = None
        following.headers.pop("Cookie", None)
        following.prepare_cookies(self.cookies)
        return following

    def _gate(self, host: str) -> Gate:
        with self._lock:
            if host not in self._gates:
                rules = self.rules
                folder = made_folder(rules.cache_dir.expanduser() / "hosts")
                turns = Turns(folder / host, _TURNS_HORIZON_S + rules.longest_wait_s)
                self._gates[host] = Gate(turns, rules.rate_per_s, rules.parallel, self._sleep)
            return self._gates[host]

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise stopped(self.survey)

    # --- answers --------------------------------------------------------------------------

    def _check_trouble(self, response: requests.Response, host: str) -> None:
        if response.status_code not in _TRANSIENT_STATUS:
            return
        asked_s = _retry_after_s(response.headers.get("Retry-After", ""))
        details: dict[str, object] = {"http_status": response.status_code}
        if asked_s is not None:
            details["retry_after_s"] = asked_s
            self._gate(host).pause(min(asked_s, self.rules.longest_wait_s))
        raise self.unavailable(str(response.url), "is unavailable", **details)

    def _read(self, response: requests.Response) -> requests.Response:
        """The answer with its body in memory, within limits of bytes and time."""
        url = str(response.url)
        deadline = time.monotonic() + self.rules.timeout_s
        body = bytearray()
        try:
            for chunk in response.iter_content(CHUNK_BYTES):
                body += chunk
                if len(body) > self.rules.max_answer_mib * _MIB:
                    limit = self.rules.max_answer_mib
                    raise self.refused(url, f"answers more than max_answer_mib ({limit:g})")
                if time.monotonic() > deadline:
                    raise self.unavailable(
                        url, f"took longer than {self.rules.timeout_s:g} s to answer"
                    )
        except BROKEN_BODY as error:
            raise self.unavailable(url, f"broke off: {type(error).__name__}") from None
        whole = requests.Response()
        whole.__setstate__(response.__getstate__() | {"_content": bytes(body)})
        whole.raw = HTTPResponse(BytesIO(body), preload_content=False, status=whole.status_code)
        return whole


def patiently(session: ArchiveSession) -> Retrying:
    """Attempts at what may yet succeed, as many and as far apart as the options say."""
    rules = session.rules
    exponential = wait_random_exponential(multiplier=0.5, max=rules.longest_wait_s)

    def is_worth_it(error: BaseException) -> bool:
        if not isinstance(error, AstridError) or not error.transient:
            return False
        return _asked_s(error) <= rules.longest_wait_s

    def wait_s(state: RetryCallState) -> float:
        return max(_asked_s(_failure(state)), exponential(state))

    def report(state: RetryCallState) -> None:
        _log.warning(
            "attempt %d failed, trying again: %s", state.attempt_number, _failure(state).message
        )

    return Retrying(
        retry=retry_if_exception(is_worth_it),
        stop=stop_after_attempt(rules.attempts),
        wait=wait_s,
        sleep=sleep_using_event(session.stop),
        before_sleep=report,
        reraise=True,
    )


def own_error(error: BaseException | None) -> AstridError | None:
    """Our own error behind a library's: it may be its cause, by any of three names."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, AstridError):
            return one
        seen.add(id(one))
        wrapped = getattr(one, "cause", None)
        behind = wrapped if isinstance(wrapped, BaseException) else None
        waiting += [one.__context__, behind, one.__cause__]
    return None


def place(url: str) -> str:
    """Host and path of an address, for messages: its query may hold a signature."""
    return f"{host_of(url)}{urlsplit(url).path}"


def host_of(url: str) -> str:
    """Host of an address, with its port where it names one."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def stopped(survey: str) -> DownloadStoppedError:
    """The error of whatever was going on when a session was stopped."""
    return DownloadStoppedError(
        f"Survey '{survey}': downloads were stopped.",
        remedy="Run again: what has come so far is resumed.",
    )


def _authorization(survey: str, credential: Credential) -> str:
    secret = _variable(survey, credential.secret_env)
    if credential.user_env is None:
        return f"{'Bearer' if credential.scheme == 'bearer' else 'token'} {secret}"
    pair = f"{_variable(survey, credential.user_env)}:{secret}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _variable(survey: str, name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(
            f"Survey '{survey}' needs credentials from the environment variable {name}, "
            "which is not set.",
            remedy="Set it, or remove the entry of 'archive.credentials' for public data.",
        )
    return value


def _retry_after_s(text: str) -> float | None:
    """Seconds that a Retry-After header asks for, which may be a number or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - dt.datetime.now(dt.UTC)).total_seconds())


def _asked_s(error: AstridError) -> float:
    return float(str(error.details.get("retry_after_s", 0.0)))


def _failure(state: RetryCallState) -> AstridError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, AstridError)  # noqa: S101  no other is tried again
    return error


def _said(response: requests.Response) -> str:
    """Status and the beginning of what stands on the page: services explain themselves there."""
    text = " ".join(_TAG.sub(" ", response.text[:4096]).split())[:_SAID_CHARACTERS]
    return f"answers HTTP {response.status_code} {response.reason} ('{text}')"

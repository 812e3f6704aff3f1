"""Asking AstrID's API, as the command line does for its user."""

import time
from typing import Any

import requests

from astrid_stack.credentials import Credential
from astrid_stack.errors import StackError


class ApiClient:
    """Asks one API in one user's name.

    Parameters
    ----------
    address
        Of the API.
    credential
        Of the user who asks.
    """

    def __init__(self, address: str, credential: Credential) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.trust_env = False  # a ~/.netrc would be sent in place of our own headers
        self._session.headers.update(credential.headers)

    def ask(self, method: str, path: str, timeout_s: float = 30.0, **request: Any) -> Any:
        """Answer of the API, waiting where it says that this is too fast.

        Raises
        ------
        StackError
            If it does not answer, or refuses.
        """
        while True:
            try:
                answer = self._session.request(
                    method, f"{self._address}{path}", timeout=timeout_s, **request
                )
            except requests.RequestException as error:
                raise StackError(
                    f"The API at {self._address} did not answer: {error}",
                    remedy="Run 'astrid status', then 'astrid up'.",
                ) from error
            if answer.status_code == requests.codes.too_many_requests:
                time.sleep(float(answer.headers["Retry-After"]))
                continue
            if not answer.ok:
                raise StackError(
                    f"The API refused {method} {path}: {answer.text}",
                    remedy="Its log says more: 'astrid status' names the folder.",
                )
            return answer.json()

"""The account PostgreSQL runs as when we are root, which it refuses to be.

As an ordinary user nothing here is needed: PostgreSQL runs as that user.
"""

import os
import pwd
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from astrid_stack.errors import StackError
from astrid_stack.processes import Account

ACCOUNT_NAME = "astrid-postgres"


def service_account(folders: Iterable[Path]) -> Account | None:
    """The account to run PostgreSQL as, able to reach ``folders``; None unless we are root.

    The account is made on first use, without a home or a login shell. Where a folder on
    the way (a home of mode 0700, say) would not let it pass, the server process is given
    that folder's *group* and the group is given passage; nobody else is.

    Raises
    ------
    StackError
        If the account cannot be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        entry = _make_account()
    groups = {group for folder in folders for group in _open_way(folder.resolve(), entry)}
    return Account(ACCOUNT_NAME, entry.pw_uid, entry.pw_gid, tuple(sorted(groups)))


def _make_account() -> pwd.struct_passwd:
    command = (
        *("useradd", "--system", "--user-group", "--no-create-home"),
        *("--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME),
    )
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise StackError(
            f"PostgreSQL does not run as root, and making the account {ACCOUNT_NAME!r} for it "
            f"failed: {reason.strip()}.",
            remedy="Run AstrID as an ordinary user, or create that account yourself.",
        ) from error
    return pwd.getpwnam(ACCOUNT_NAME)


def _open_way(folder: Path, entry: pwd.struct_passwd) -> Iterable[int]:
    """Groups that let the account reach ``folder``; gives those groups passage."""
    for step in (*reversed(folder.parents), folder):
        status = step.stat()
        if status.st_mode & stat.S_IXOTH or status.st_uid == entry.pw_uid:
            continue
        if not status.st_mode & stat.S_IXGRP:
            step.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXGRP)
        yield status.st_gid

"""Run a program for exactly as long as the process that started it lives.

``python -m astrid_stack.leash SIGNAL IDS PROGRAM ARGUMENTS...`` starts PROGRAM in a process
group of its own and waits. When standard input reaches its end, which it does however the
starter ended (``kill -9`` included), the program is sent SIGNAL and, if it does not go, is
killed. IDS is ``uid,gid,group,group...`` to run the program as, or ``-`` for our own. Tests
run their servers this way; ``astrid up``, whose services are meant to outlive it, does not.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_S = 10.0


def main(arguments: list[str]) -> int:
    """Run the leash; the program's return code is the leash's."""
    stop_signal, ids, argv = signal.Signals[arguments[0]], arguments[1], arguments[2:]
    uid, gid, *groups = (int(part) for part in ids.split(",")) if ids != "-" else (None, None)
    program = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        process_group=0,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else groups,
    )
    threading.Thread(target=_stop_when_let_go, args=(program, stop_signal), daemon=True).start()
    return program.wait()


def _stop_when_let_go(program: "subprocess.Popen[bytes]", stop_signal: signal.Signals) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    program.send_signal(stop_signal)
    try:
        program.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

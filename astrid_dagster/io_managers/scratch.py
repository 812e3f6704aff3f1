"""Small JSON values between the ops of a graph asset, in the object store.

What belongs here: plans and results that an op in another pod must be able to read. What
does not: pixels, rows that should last (their assets store them), and pickles.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg

from astrid_core.storage import ObjectStore
from astrid_dagster.resources import StoreResource


class ScratchIOManager(dg.ConfigurableIOManager):
    """Keeps one JSON object per run, step and output under ``scratch/``."""

    store: dg.ResourceDependency[StoreResource]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write the value as JSON."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "value.json"
            path.write_text(json.dumps(obj, sort_keys=True))
            self._open().put_file(_key(context), path)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the value back."""
        upstream = context.upstream_output
        assert upstream is not None  # noqa: S101  only ops' outputs are kept here
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "value.json"
            self._open().get_file(_key(upstream), path)
            return json.loads(path.read_text())

    def _open(self) -> ObjectStore:
        return self.store.open()


def _key(context: dg.OutputContext) -> str:
    return f"scratch/{context.run_id}/{context.step_key}/{context.name}.json"

"""Take surveys from files to detections: ``python -m tests.e2e.nights NAME[:NIGHT,…] …``.

In a process of its own, because partitions are fixed when the definitions load. The jobs
are the deployment's own; a run that fails is for the test to find in the rows.
"""

import sys

import dagster as dg

from astrid_core.settings import DefinitionSettings
from astrid_core.surveys.config import load_surveys
from astrid_core.surveys.registry import open_survey
from astrid_dagster.definitions import defs
from astrid_stack.demo import plan_nights


def main(wanted: list[str]) -> None:
    surveys = load_surveys(DefinitionSettings().surveys_file).surveys
    with dg.DagsterInstance.ephemeral() as instance:
        for name, _, nights in (one.partition(":") for one in wanted):
            plan = plan_nights(surveys[name], open_survey(surveys[name]).nights())
            for night in plan.reference_nights:
                run(instance, "reference_nights", key(name, night.isoformat()))
            run(instance, "references", name)
            for night in nights.split(",") if nights else map(str, plan.science_nights):
                run(instance, "nightly", key(name, night))


def run(instance: dg.DagsterInstance, job: str, partition: str) -> None:
    result = defs.resolve_job_def(job).execute_in_process(
        partition_key=partition, instance=instance, raise_on_error=False
    )
    print(f"{job} {partition}: {'success' if result.success else 'failure'}")


def key(survey: str, night: str) -> dg.MultiPartitionKey:
    return dg.MultiPartitionKey({"survey": survey, "night": night})


if __name__ == "__main__":
    main(sys.argv[1:])

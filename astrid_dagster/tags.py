"""Names that Dagster, Kubernetes and people must agree on, and why each is there."""

GPU_POOL = "gpu"
"""Concurrency pool of everything that holds a GPU; its limit is set at ``astrid up``."""

CPU_QUEUE = "cpu"
GPU_QUEUE = "gpu"
QUEUES = (CPU_QUEUE, GPU_QUEUE)
"""Celery's queues: steps go to the first unless their tags say otherwise."""

GPU_TAGS = {
    # Read by the Kubernetes executor: the step's pod asks for one GPU. Other executors
    # ignore it and the U-Net runs where the resource's device setting says.
    "dagster-k8s/config": {
        "container_config": {"resources": {"limits": {"nvidia.com/gpu": "1"}}},
    },
    # Read by the Celery executor: the step waits for a worker of that queue.
    "dagster-celery/queue": GPU_QUEUE,
    # For people: filters in the UI.
    "gpu": "true",
}

OWNER = "team:astrid"

INGEST = "ingest"
IMAGING = "imaging"
REFERENCES = "references"
DETECTION = "detection"
CURATION = "curation"
MONITORING = "monitoring"
TRAINING = "training"

WHY = "astrid/why"
"""Why a run was asked for."""

LABELS_AFTER = "astrid/labels_after"
"""Cursor of verdicts before the batch that a run makes labels of."""

LABELS_LAST = "astrid/labels_last"
"""Cursor behind it."""

LABELS_WHY = "astrid/labels_why"
"""Why the run was asked for."""

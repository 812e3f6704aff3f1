"""Names that Dagster, Kubernetes and people must agree on, and why each is there."""

GPU_POOL = "gpu"
"""Concurrency pool of everything that holds a GPU; its limit is set at ``astrid up``."""

GPU_TAGS = {
    # Read by the Kubernetes executor: the step's pod asks for one GPU. Other executors
    # ignore it and the U-Net runs where the resource's device setting says.
    "dagster-k8s/config": {
        "container_config": {"resources": {"limits": {"nvidia.com/gpu": "1"}}},
    },
    # For queues and people: Celery routing, filters in the UI.
    "gpu": "true",
}

OWNER = "team:astrid"

INGEST = "ingest"
IMAGING = "imaging"
REFERENCES = "references"
DETECTION = "detection"
MONITORING = "monitoring"

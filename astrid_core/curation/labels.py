"""The label of a detection: what people decided about it, or about the one it inherits from."""

from sqlalchemy import ScalarSelect, select

from dbschema.models import Detection, DetectionConsensus


def decided_label() -> ScalarSelect[str]:
    """``real`` or ``bogus``, to select or filter by in a query over ``detections``.

    What people decided about the detection itself comes before what it inherits. Null where
    nothing is decided.
    """
    return (
        select(DetectionConsensus.label)
        .where(
            DetectionConsensus.detection_id.in_((Detection.id, Detection.inherited_from)),
            DetectionConsensus.decided_by.is_not(None),
        )
        .order_by((DetectionConsensus.detection_id == Detection.id).desc())
        .limit(1)
        .correlate(Detection)
        .scalar_subquery()
    )

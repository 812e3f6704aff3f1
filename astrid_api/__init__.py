"""The HTTP face of AstrID: detections to look at, verdicts to give.

A thin one: what is asked for is found and decided by ``astrid_core`` and kept by
``dbschema``; here are addresses, who may use them, and what errors look like on the wire.
"""

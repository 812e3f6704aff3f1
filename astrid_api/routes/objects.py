"""Objects and their light curves."""

from uuid import UUID

from fastapi import APIRouter

from astrid_api.access import Viewer
from astrid_api.problems import responses
from astrid_api.services import TheServices
from astrid_core.curation.details import ObjectDetails, object_details

router = APIRouter(tags=["objects"], responses=responses(401, 403, 404, 422, 429, 503))


@router.get("/objects/{object_id}")
def sky_object(_: Viewer, services: TheServices, object_id: UUID) -> ObjectDetails:
    """An object and its light curve, every epoch of its field, by time."""
    return services.ask(lambda connection: object_details(connection, object_id))

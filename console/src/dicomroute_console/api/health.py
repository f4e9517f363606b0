"""The one call that is open to everybody."""

from fastapi import APIRouter

from . import documents

router = APIRouter()


@router.get("/api/v1/health", operation_id="getHealth")
async def health() -> documents.Health:
    """Say that the console answers. It asks nobody, and says nothing of routes."""
    return documents.Health()

"""The OpenAPI description of the user API (3.1): served at /api/v1/openapi.json, and committed.

`python -m dicomroute_console.api.description` prints it.
"""

import json
from typing import Any

from fastapi import FastAPI

from .health import router as health
from .routes import router


def described(app: FastAPI) -> dict[str, Any]:
    """Return the description of an application's API."""
    document = app.openapi()
    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                operation.setdefault("security", [{"bearer": []}])
    document["paths"]["/api/v1/health"]["get"]["security"] = []
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the cluster, or of an issuer."}
    }
    return document


def bare() -> FastAPI:
    """Return an application that has the API alone, to describe it."""
    app = FastAPI(title="dicomroute console", version="1", description="What the console shows and does, for programs.")
    app.include_router(health)
    app.include_router(router)
    return app


if __name__ == "__main__":
    print(json.dumps(described(bare()), indent=2, sort_keys=True))

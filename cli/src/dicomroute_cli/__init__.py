"""`dicomroute`: checks manifests, runs their routes on this machine, explains decisions, looks into queues.

`manifests` reads and validates files as the API server would; `examine` adds the operator's checks and the gateway's
rules; `commands` has one module a command.
"""

__version__ = "0.1.0"

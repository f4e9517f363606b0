"""The operator's own health and metrics, on a plain port."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dicomroute_operator import __version__
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.spool_conditions import SpoolAtRisk

from .bounded import BoundedConnections, one_request


@dataclass(frozen=True)
class Vitals:
    """How the operator is doing."""

    is_leader: bool
    is_synced: bool
    routes: int
    queue_length: int
    reconciled: int
    failed: int
    asked: int
    unanswered: int
    silent_seconds: float
    """Since the API server was last heard of by the informer that has waited longest."""
    ready: Mapping[tuple[str, str], tuple[bool, str]] = field(default_factory=dict)
    """The condition Ready of each route, by namespace and name: whether it is True, and its reason."""
    at_risk: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The reason of SpoolAtRisk of each route that has this condition."""
    without_route: Mapping[str, int] = field(default_factory=dict)
    """How many claims of spools each namespace has whose route is gone."""


def ready_of(route: DicomRoute) -> tuple[bool, str]:
    """Return whether the condition Ready of a route is True, and its reason; "" before anything is known of it."""
    conditions = route.status.conditions if route.status is not None else []
    found = next((one for one in conditions if one.type == "Ready"), None)
    return (found.status == "True", found.reason) if found is not None else (False, "")


def risk_of(route: DicomRoute) -> str:
    """Return the reason of the condition SpoolAtRisk of a route; "" while there is none."""
    conditions = route.status.conditions if route.status is not None else []
    return next((one.reason for one in conditions if one.type == SpoolAtRisk.declared_type()), "")


class _VitalsCollector(Collector):
    def __init__(self, vitals: Callable[[], Vitals]) -> None:
        self._vitals = vitals

    def collect(self) -> Iterable[Metric]:
        seen = self._vitals()
        name = "dicomroute_operator"
        build = GaugeMetricFamily(f"{name}_build_info", "The version of the operator", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily(f"{name}_leader", "1 while this operator holds the Lease", float(seen.is_leader))
        yield GaugeMetricFamily(f"{name}_routes", "DicomRoutes that this operator manages", seen.routes)
        ready = GaugeMetricFamily(
            f"{name}_route_ready",
            "1 for a route whose condition Ready is True",
            labels=["route_namespace", "route", "reason"],
        )
        for (namespace, route), (is_ready, reason) in seen.ready.items():
            ready.add_metric([namespace, route, reason], float(is_ready))
        yield ready
        labels = ["route_namespace", "route", "reason"]
        at_risk = GaugeMetricFamily(
            f"{name}_route_spool_at_risk", "1 for a route whose condition SpoolAtRisk is True", labels=labels
        )
        for (namespace, route), reason in seen.at_risk.items():
            at_risk.add_metric([namespace, route, reason], 1)
        yield at_risk
        spools = GaugeMetricFamily(
            f"{name}_spools_without_route", "Claims of spools whose route no longer exists", labels=["route_namespace"]
        )
        for namespace, count in seen.without_route.items():
            spools.add_metric([namespace], count)
        yield spools
        yield GaugeMetricFamily(
            f"{name}_queue_length", "Objects that wait for a reconciliation or are being reconciled", seen.queue_length
        )
        yield GaugeMetricFamily(
            f"{name}_watch_silence_seconds",
            "Time since the informer last heard from the API server",
            seen.silent_seconds,
        )
        reconciles = CounterMetricFamily(f"{name}_reconciles", "Reconciliations by result", labels=["result"])
        reconciles.add_metric(["success"], seen.reconciled)
        reconciles.add_metric(["error"], seen.failed)
        yield reconciles
        polls = CounterMetricFamily(f"{name}_gateway_polls", "Requests to gateways", labels=["result"])
        polls.add_metric(["success"], seen.asked - seen.unanswered)
        polls.add_metric(["error"], seen.unanswered)
        yield polls


def metrics_registry(vitals: Callable[[], Vitals]) -> CollectorRegistry:
    """Return the registry of all metrics of the operator."""
    registry = CollectorRegistry()
    registry.register(_VitalsCollector(vitals))
    ProcessCollector(registry=registry)
    return registry


@asynccontextmanager
async def serving_health(vitals: Callable[[], Vitals], port: int) -> AsyncIterator[None]:
    """Serve /healthz, /readyz and /metrics meanwhile. Raises OSError."""
    registry = metrics_registry(vitals)

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")  # that it answers says that the loop turns

    async def readyz(_request: web.Request) -> web.Response:
        seen = vitals()
        if seen.is_leader and seen.is_synced:
            return web.Response(text="ok\n")
        why = (
            "another operator holds the Lease" if not seen.is_leader else "the objects of the cluster are being listed"
        )
        return web.Response(status=503, text=f"not ready: {why}\n")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=[one_request])
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    assert runner.server is not None
    listening = await asyncio.get_running_loop().create_server(BoundedConnections(runner.server), None, port)
    try:
        yield
    finally:
        listening.close()
        await runner.cleanup()

"""Writes the Grafana dashboard of the chart: `make generate` puts it into charts/dicomroute/files/dashboard.json."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]

GATEWAYS = 'namespace=~"$namespace", route=~"$route"'
_COLUMNS, _WIDTH, _HEIGHT = 24, 8, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def rate(metric: str, by: str, where: str = GATEWAYS) -> str:
    """Return the rate of a counter, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str) -> str:
    """Return a quantile of a histogram, by labels."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'le, {by}')})"


def highest(metric: str, by: str, where: str = GATEWAYS) -> str:
    """Return the highest value of a gauge by labels: pods of one route report apart."""
    return f"max by ({by}) ({metric}{{{where}}})"


def panel(
    title: str,
    unit: str,
    *targets: tuple[str, str],
    description: str = "",
    kind: str = "timeseries",
    minimum: int | None = 0,
) -> Json:
    """Return a panel; each target is an expression and the legend of its series."""
    defaults = {"unit": unit} | ({} if minimum is None else {"min": minimum})
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[kind],
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for number, (expression, legend) in enumerate(targets)
        ],
    }


_OPTIONS: dict[str, Json] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
}

ROUTE, DESTINATION = "namespace, route", "namespace, route, destination"
_ROUTE, _DESTINATION = "{{namespace}}/{{route}}", "{{route}} {{destination}}"

RECEIVING = [
    panel("Gateways that receive", "none", (highest("dicomroute_ready", ROUTE), _ROUTE), kind="stat",
          description="1: listeners are open, and the spool can store what arrives."),
    panel("Instances received", "ops", (rate("dicomroute_instances_received_total", ROUTE), _ROUTE)),
    panel("Bytes received", "Bps", (rate("dicomroute_received_bytes_total", ROUTE), _ROUTE)),
    panel("C-STORE: time from the first byte to the answer", "s",
          (quantile(0.5, "dicomroute_store_seconds", ROUTE), f"p50 {_ROUTE}"),
          (quantile(0.99, "dicomroute_store_seconds", ROUTE), f"p99 {_ROUTE}")),
    panel("Commit: time until the record is on stable storage", "s",
          (quantile(0.5, "dicomroute_commit_seconds", ROUTE), f"p50 {_ROUTE}"),
          (quantile(0.99, "dicomroute_commit_seconds", ROUTE), f"p99 {_ROUTE}"),
          description="Depends on the volume of the spool. Part of every C-STORE."),
    panel("C-STORE answers other than success", "ops",
          (rate("dicomroute_stores_total", "namespace, route, status", f'{GATEWAYS}, status!="0000"'),
           "{{route}} {{status}}"),
          description="Status of PS3.4 B.2.3, such as A700: out of resources."),
    panel("Size of instances", "bytes",
          (quantile(0.5, "dicomroute_instance_bytes", ROUTE), f"p50 {_ROUTE}"),
          (quantile(0.95, "dicomroute_instance_bytes", ROUTE), f"p95 {_ROUTE}")),
    panel("Associations", "none", (highest("dicomroute_associations_open", ROUTE), f"open {_ROUTE}"),
          (rate("dicomroute_associations_accepted_total", ROUTE), f"accepted a second {_ROUTE}")),
    panel("Associations refused and aborted", "ops",
          (rate("dicomroute_associations_refused_total", "namespace, route, reason"), "{{route}} refused {{reason}}"),
          (rate("dicomroute_associations_aborted_total", "namespace, route, reason"), "{{route}} aborted {{reason}}"),
          description="Run `dicomroute refused` to see who was refused."),
]  # fmt: skip

SPOOL = [
    panel("Level", "bytes", (highest("dicomroute_spool_used_bytes", ROUTE), f"used {_ROUTE}"),
          (highest("dicomroute_spool_watermark_bytes", ROUTE), f"watermark {_ROUTE}"),
          (highest("dicomroute_spool_capacity_bytes", ROUTE), f"capacity {_ROUTE}"),
          description="At the watermark, senders get the status 0xA700."),
    panel("Growth", "Bps", (highest("dicomroute_spool_fill_bytes_per_second", ROUTE), _ROUTE), minimum=None,
          description="Average of ten minutes. Below 0, the spool drains."),
    panel("Instances", "none", (highest("dicomroute_instances_owed", ROUTE), f"owed {_ROUTE}"),
          (highest("dicomroute_instances_held", ROUTE), f"held {_ROUTE}"),
          (highest("dicomroute_instances_dead_lettered", ROUTE), f"dead-lettered {_ROUTE}")),
    panel("Age of the oldest instance owed", "s", (highest("dicomroute_oldest_owed_seconds", ROUTE), _ROUTE)),
    panel("Finished instances", "ops",
          (rate("dicomroute_instances_finished_total", "namespace, route, outcome"), "{{route}} {{outcome}}")),
    panel("Problems", "none", (highest("dicomroute_problem", "namespace, route, reason"), "{{route}} {{reason}}"),
          (highest("dicomroute_configuration_findings", "namespace, route, reason"), "{{route}} {{reason}}"),
          (highest("dicomroute_problems", ROUTE), f"all problems {_ROUTE}"), kind="stat"),
]  # fmt: skip

DELIVERIES = [
    panel("Delivered", "ops", (rate("dicomroute_deliveries_delivered_total", DESTINATION), _DESTINATION)),
    panel("Bytes delivered", "Bps", (rate("dicomroute_delivered_bytes_total", DESTINATION), _DESTINATION)),
    panel("Time from receipt to delivery", "s",
          (quantile(0.5, "dicomroute_delivery_seconds", DESTINATION), f"p50 {_DESTINATION}"),
          (quantile(0.99, "dicomroute_delivery_seconds", DESTINATION), f"p99 {_DESTINATION}")),
    panel("Duration of attempts", "s",
          (quantile(0.5, "dicomroute_delivery_attempt_seconds", DESTINATION), f"p50 {_DESTINATION}"),
          (quantile(0.99, "dicomroute_delivery_attempt_seconds", DESTINATION), f"p99 {_DESTINATION}")),
    panel("Attempts by outcome", "ops",
          (rate("dicomroute_delivery_attempts_total", f"{DESTINATION}, reason"), f"{_DESTINATION} {{{{reason}}}}")),
    panel("Deliveries by state", "none",
          (highest("dicomroute_deliveries", f"{DESTINATION}, state"), f"{_DESTINATION} {{{{state}}}}")),
    panel("Age of the oldest instance owed", "s",
          (highest("dicomroute_destination_oldest_owed_seconds", DESTINATION), _DESTINATION)),
    panel("Waiting after an error", "none", (highest("dicomroute_destination_waiting", DESTINATION), _DESTINATION),
          description="1: deliveries are retried until they succeed. The status of the route has the last error."),
    panel("Paused: refuses every delivery", "none",
          (highest("dicomroute_destination_paused", DESTINATION), _DESTINATION),
          description="1: because of its configuration. The status of the route says why."),
    panel("Reachable in connection tests", "none",
          (f"min by ({DESTINATION}) (dicomroute_destination_reachable{{{GATEWAYS}}})", _DESTINATION),
          description="0: the last test failed. The condition Reachable of the DicomNode or CloudTarget says why."),
    panel("Time to answer a C-ECHO", "s", (highest("dicomroute_destination_echo_seconds", DESTINATION), _DESTINATION)),
    panel("Stored with a warning", "ops",
          (rate("dicomroute_deliveries_warned_total", DESTINATION), _DESTINATION)),
    panel("Held by the configuration", "none", (highest("dicomroute_destination_held", DESTINATION), _DESTINATION)),
]  # fmt: skip

QUERIES = [
    panel("Queries answered", "ops",
          (rate("dicomroute_queries_total", "namespace, route, status"), "{{route}} {{status}}"),
          description="Final status (PS3.4 C.4.1): 0000 success, A700 too many, C000 an archive did not answer."),
    panel("C-FIND: time from the first byte to the end", "s",
          (quantile(0.5, "dicomroute_query_seconds", ROUTE), f"p50 {_ROUTE}"),
          (quantile(0.99, "dicomroute_query_seconds", ROUTE), f"p99 {_ROUTE}")),
    panel("Matches sent", "ops", (rate("dicomroute_query_matches_total", ROUTE), _ROUTE)),
    panel("Retrievals answered", "ops",
          (rate("dicomroute_retrievals_total", "namespace, route, action, status"), "{{route}} {{action}} {{status}}"),
          description="Final status (PS3.4 C.4.2 and C.4.3): 0000 all stored, B000 some failed, A7xx none stored."),
    panel("C-MOVE and C-GET: time from the first byte to the end", "s",
          (quantile(0.5, "dicomroute_retrieval_seconds", ROUTE), f"p50 {_ROUTE}"),
          (quantile(0.99, "dicomroute_retrieval_seconds", ROUTE), f"p99 {_ROUTE}")),
    panel("Instances retrieved", "ops",
          (rate("dicomroute_retrieved_instances_total", "namespace, route, outcome"), "{{route}} {{outcome}}")),
    panel("Archives that did not answer", "ops",
          (rate("dicomroute_archive_failures_total", "namespace, route, archive, reason"),
           "{{route}} {{archive}} {{reason}}")),
]  # fmt: skip

STUDIES = [
    panel("Open studies", "none", (highest("dicomroute_studies_open", ROUTE), _ROUTE),
          description="Studies that are not complete, of routes with spec.studies."),
    panel("Studies completed", "ops",
          (rate("dicomroute_studies_completed_total", "namespace, route, basis"), "{{route}} {{basis}}"),
          (rate("dicomroute_studies_revised_total", ROUTE), f"later revisions {_ROUTE}"),
          description="Idle: nothing came for idleSeconds. MaxOpen: forced after maxOpenSeconds."),
    panel("Events told", "ops", (rate("dicomroute_events_told_total", ROUTE), _ROUTE)),
    panel("Age of the oldest event", "s", (highest("dicomroute_events_oldest_seconds", ROUTE), _ROUTE),
          description="A reader that is away for longer misses events."),
    panel("Readers that came too late", "ops", (rate("dicomroute_events_too_old_total", ROUTE), _ROUTE),
          description="Requests answered with 410: the events behind their cursor are no longer kept."),
    panel("Feed cannot be written", "none", (highest("dicomroute_events_failing", ROUTE), _ROUTE), kind="stat"),
]  # fmt: skip

COMMITMENT = [
    panel("Open transactions", "none", (highest("dicomroute_commitments_open", ROUTE), _ROUTE),
          description="Storage commitment requests without a report so far."),
    panel("Instances by result", "ops",
          (rate("dicomroute_commitment_references_total", "namespace, route, result"), "{{route}} {{result}}"),
          description="Committed, or the Failure Reason: 0110 not delivered, 0112 unknown instance, 0119 other class."),
    panel("Reports by outcome", "ops",
          (rate("dicomroute_commitment_reports_total", "namespace, route, outcome"), "{{route}} {{outcome}}")),
]  # fmt: skip

_OPERATOR = 'job="dicomroute-operator"'
OPERATOR = [
    panel("Operators that hold the Lease", "none", ("sum(dicomroute_operator_leader)", "leader"), kind="stat"),
    panel("Routes", "none", ("max(dicomroute_operator_routes)", "all"),
          ("sum(dicomroute_operator_route_ready)", "ready"), kind="stat"),
    panel("Routes that are not ready", "none",
          ("max by (route_namespace, route, reason) (dicomroute_operator_route_ready == 0) + 1",
           "{{route_namespace}}/{{route}} {{reason}}"), kind="stat"),
    panel("Spools at risk", "none",
          ("max by (route_namespace, route, reason) (dicomroute_operator_route_spool_at_risk)",
           "{{route_namespace}}/{{route}} {{reason}}"),
          ("sum by (route_namespace) (dicomroute_operator_spools_without_route)", "{{route_namespace}}: no route")),
    panel("Waiting objects", "none", ("max(dicomroute_operator_queue_length)", "queue")),
    panel("Reconciliations", "ops", (rate("dicomroute_operator_reconciles_total", "result", ""), "{{result}}")),
    panel("Requests to gateways", "ops", (rate("dicomroute_operator_gateway_polls_total", "result", ""), "{{result}}")),
    panel("Silence of the API server", "s", ("max(dicomroute_operator_watch_silence_seconds)", "silence")),
    panel("Memory", "bytes", (f"process_resident_memory_bytes{{{_OPERATOR}}}", "operator"),
          (highest("process_resident_memory_bytes", ROUTE, f'job="dicomroute-gateway", {GATEWAYS}'), _ROUTE)),
    panel("Versions", "none", ("count by (version) (dicomroute_build_info)", "gateway {{version}}"),
          ("count by (version) (dicomroute_operator_build_info)", "operator {{version}}"), kind="stat"),
]  # fmt: skip

ROWS = [
    ("Receiving", RECEIVING),
    ("Spool", SPOOL),
    ("Deliveries by destination", DELIVERIES),
    ("Studies and events", STUDIES),
    ("Queries and retrievals", QUERIES),
    ("Storage commitment", COMMITMENT),
    ("Operator", OPERATOR),
]


def placed(rows: Sequence[tuple[str, Sequence[Json]]]) -> Iterator[Json]:
    """Yield rows and panels with their numbers and places, three beside each other."""
    number, y = 0, 0
    for title, panels in rows:
        number += 1
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        y += 1
        for position, one in enumerate(panels):
            number += 1
            line, column = divmod(position, _COLUMNS // _WIDTH)
            place = {"x": column * _WIDTH, "y": y + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            yield {"id": number, "gridPos": place, **one}
        y += -(-len(panels) // (_COLUMNS // _WIDTH)) * _HEIGHT


def variable(name: str, label: str, query: str) -> Json:
    """Return a variable that takes several values of a label."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": f"variable-{name}"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def dashboard() -> Json:
    """Return the dashboard in Grafana's JSON model."""
    return {
        "uid": "dicomroute",
        "title": "dicomroute",
        "description": "What DICOM routes receive, store and deliver.",
        "tags": ["dicom"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                variable("namespace", "Namespace", "label_values(dicomroute_ready, namespace)"),
                variable("route", "Route", 'label_values(dicomroute_ready{namespace=~"$namespace"}, route)'),
            ]
        },
        "panels": list(placed(ROWS)),
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=1))

"""Prometheus metrics, made from the status document and the measures when they are asked for.

No label holds anything that a peer chose: no AE title, no UID. docs/observability.md has all of them.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from dicomroute_client.documents.status import StatusDocument
from dicomroute_gateway.destination import destination_named
from dicomroute_gateway.measures import HistogramSnapshot, Measures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PROCESS = ProcessCollector(registry=None)


def metrics_text(status: StatusDocument, measures: Measures) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_StatusCollector(status))
    registry.register(_MeasuresCollector(measures, status.time))
    registry.register(_PROCESS)
    return generate_latest(registry)


class _StatusCollector(Collector):
    """How the gateway stands."""

    def __init__(self, status: StatusDocument) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        build = GaugeMetricFamily("dicomroute_build_info", "The version of the gateway.", labels=["version"])
        build.add_metric([status.gateway_version], 1)
        yield build
        yield GaugeMetricFamily("dicomroute_ready", "1 while the gateway receives instances.", int(status.ready))
        yield GaugeMetricFamily("dicomroute_problems", "Findings that a person must fix.", len(status.problems))
        yield _by_reason("dicomroute_problem", "Problems by reason.", [one.reason for one in status.problems])
        findings = status.configuration.findings if status.configuration else []
        yield _by_reason(
            "dicomroute_configuration_findings",
            "Unusable sections of the configuration. The last usable version of each stays in effect.",
            [one.reason for one in findings],
        )
        yield from self._associations()
        yield from self._instances()
        yield from self._destinations()
        yield from self._spool()
        if status.studies is not None:
            yield GaugeMetricFamily("dicomroute_studies_open", "Studies that are not complete.", status.studies.open)

    def _associations(self) -> Iterator[Metric]:
        seen = self._status.associations
        if seen is None:
            return
        yield GaugeMetricFamily("dicomroute_associations_open", "Open associations.", seen.open)
        yield CounterMetricFamily("dicomroute_associations_accepted", "Associations accepted.", seen.accepted_total)
        refused = CounterMetricFamily("dicomroute_associations_refused", "Associations refused.", labels=["reason"])
        for reason, count in seen.refused_total.items():
            refused.add_metric([reason], count)
        yield refused
        aborted = CounterMetricFamily(
            "dicomroute_associations_aborted", "Associations aborted by the gateway.", labels=["reason"]
        )
        for reason, count in seen.aborted_total.items():
            aborted.add_metric([reason], count)
        yield aborted

    def _instances(self) -> Iterator[Metric]:
        status, seen = self._status, self._status.instances
        if seen is not None:
            yield CounterMetricFamily(
                "dicomroute_instances_received", "Instances accepted or discarded.", seen.received_total
            )
            finished = CounterMetricFamily("dicomroute_instances_finished", "Finished instances.", labels=["outcome"])
            finished.add_metric(["delivered"], seen.delivered_total)
            finished.add_metric(["skipped"], seen.skipped_total)
            finished.add_metric(["discarded"], seen.discarded_total)
            yield finished
            yield GaugeMetricFamily(
                "dicomroute_instances_owed", "Instances not yet delivered to every destination.", seen.owed
            )
            yield GaugeMetricFamily(
                "dicomroute_instances_dead_lettered", "Instances that a destination refused.", seen.dead_lettered
            )
        if status.deliveries is not None:
            yield GaugeMetricFamily(
                "dicomroute_instances_held",
                "Instances that are held because no rule matched or a rule had an error.",
                status.deliveries.held - sum(one.held for one in status.destinations),
            )
        if status.oldest_owed_time:
            yield GaugeMetricFamily(
                "dicomroute_oldest_owed_seconds",
                "Age of the oldest owed instance.",
                _age(status.time, status.oldest_owed_time),
            )

    def _destinations(self) -> Iterator[Metric]:
        labels = ["destination"]
        deliveries = GaugeMetricFamily(
            "dicomroute_deliveries", "Deliveries by destination and state.", labels=["destination", "state"]
        )
        delivered = CounterMetricFamily("dicomroute_deliveries_delivered", "Deliveries completed.", labels=labels)
        held = GaugeMetricFamily(
            "dicomroute_destination_held",
            "1 while the configuration or a window holds the destination's deliveries.",
            labels=labels,
        )
        waiting = GaugeMetricFamily(
            "dicomroute_destination_waiting",
            "1 while the destination's deliveries wait because of an error.",
            labels=labels,
        )
        paused = GaugeMetricFamily(
            "dicomroute_destination_paused",
            "1 while the destination refuses every delivery because of its configuration.",
            labels=labels,
        )
        warnings = CounterMetricFamily(
            "dicomroute_deliveries_warned", "Instances that the destination stored with a warning.", labels=labels
        )
        oldest = GaugeMetricFamily(
            "dicomroute_destination_oldest_owed_seconds",
            "Age of the oldest instance not yet delivered to a destination; 0 if there is none.",
            labels=labels,
        )
        reachable = GaugeMetricFamily(
            "dicomroute_destination_reachable",
            "Whether the last connection test reached the destination.",
            labels=labels,
        )
        round_trip = GaugeMetricFamily(
            "dicomroute_destination_echo_seconds",
            "Time that the destination took to answer its last C-ECHO.",
            labels=labels,
        )
        for one in self._status.destinations:
            name = destination_named(one.kind, one.name)
            if one.probe is not None and one.probe.reachable.status != "Unknown":
                reachable.add_metric([name], int(one.probe.reachable.status == "True"))
            if one.probe is not None and one.probe.round_trip_milliseconds is not None:
                round_trip.add_metric([name], one.probe.round_trip_milliseconds / 1000)
            delivered.add_metric([name], one.delivered_total)
            for state in ("waiting", "pending", "in_flight", "unconfirmed", "held", "dead_lettered"):
                deliveries.add_metric([name, state], getattr(one, state))
            held.add_metric([name], int(bool(one.held_reason)))
            waiting.add_metric([name], int(one.state != "Active"))
            paused.add_metric([name], int(one.state == "Paused"))
            warnings.add_metric([name], one.warnings_total)
            oldest.add_metric([name], _age(self._status.time, one.oldest_owed_time) if one.oldest_owed_time else 0)
        yield from (deliveries, delivered, held, waiting, paused, warnings, oldest, reachable, round_trip)

    def _spool(self) -> Iterator[Metric]:
        seen = self._status.spool
        if seen is None:
            return
        yield GaugeMetricFamily("dicomroute_spool_used_bytes", "Used bytes of the spool.", seen.used_bytes)
        yield GaugeMetricFamily("dicomroute_spool_capacity_bytes", "Bytes the spool may hold.", seen.capacity_bytes)
        yield GaugeMetricFamily(
            "dicomroute_spool_watermark_bytes",
            "Level in bytes above which senders get the status 0xA700.",
            seen.watermark_bytes,
        )
        yield GaugeMetricFamily(
            "dicomroute_spool_fill_bytes_per_second",
            "Growth of the spool over ten minutes.",
            seen.fill_bytes_per_second,
        )


class _MeasuresCollector(Collector):
    """What was timed and counted since the gateway started."""

    def __init__(self, measures: Measures, now: datetime) -> None:
        self._measures = measures
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield from self._listeners()
        commit = HistogramMetricFamily(
            "dicomroute_commit_seconds", "Time from the complete data set to its record on stable storage."
        )
        _add(commit, [], self._measures.commit_seconds.snapshot())
        yield commit
        yield from self._destinations()
        yield from self._queries()
        yield from self._retrievals()
        yield from self._commitments()
        yield from self._studies()
        yield from self._events()

    def _studies(self) -> Iterator[Metric]:
        seen = self._measures.studies
        completed = CounterMetricFamily(
            "dicomroute_studies_completed",
            "Revisions of studies that were completed: Idle, or MaxOpen (open for too long).",
            labels=["basis"],
        )
        for basis, count in seen.completions().items():
            completed.add_metric([basis], count)
        yield completed
        yield CounterMetricFamily(
            "dicomroute_studies_revised", "Of these, revisions of a study that had been complete before.", seen.revised
        )

    def _events(self) -> Iterator[Metric]:
        seen = self._measures.events
        yield CounterMetricFamily("dicomroute_events_told", "Events added to the feed.", seen.told)
        if seen.oldest_time is not None:
            yield GaugeMetricFamily(
                "dicomroute_events_oldest_seconds",
                "Age of the oldest event in the feed.",
                max(0.0, self._now.timestamp() - seen.oldest_time),
            )
        yield GaugeMetricFamily(
            "dicomroute_events_failing", "1 while the feed of events cannot be written.", int(seen.is_failing)
        )
        yield CounterMetricFamily(
            "dicomroute_events_too_old",
            "Requests to the feed answered with 410: the events behind the cursor are no longer kept.",
            seen.too_old,
        )

    def _commitments(self) -> Iterator[Metric]:
        seen = self._measures.commitments
        yield GaugeMetricFamily(
            "dicomroute_commitments_open", "Storage commitment transactions without a report so far.", seen.open
        )
        references = CounterMetricFamily(
            "dicomroute_commitment_references",
            "Instances in storage commitment requests: Committed, or the Failure Reason.",
            labels=["result"],
        )
        for result, count in seen.references().items():
            references.add_metric([result], count)
        reports = CounterMetricFamily(
            "dicomroute_commitment_reports",
            "Storage commitment reports: Answered, Failed (retried later) or GivenUp.",
            labels=["outcome"],
        )
        for outcome, count in seen.reports().items():
            reports.add_metric([outcome], count)
        yield from (references, reports)

    def _retrievals(self) -> Iterator[Metric]:
        answered = CounterMetricFamily(
            "dicomroute_retrievals",
            "C-MOVE and C-GET requests answered, by final status.",
            labels=["listener", "action", "status"],
        )
        seconds = HistogramMetricFamily(
            "dicomroute_retrieval_seconds",
            "Time from the first byte of a C-MOVE or C-GET to its final response.",
            labels=["listener"],
        )
        instances = CounterMetricFamily(
            "dicomroute_retrieved_instances",
            "Sub-operations of retrievals: Completed, Warning or Failed.",
            labels=["listener", "outcome"],
        )
        for name, one in self._measures.retrievals().items():
            for (action, status), count in one.answers().items():
                answered.add_metric([name, action, status], count)
            _add(seconds, [name], one.retrieval_seconds.snapshot())
            for outcome, count in one.sub_operations().items():
                instances.add_metric([name, outcome], count)
        yield from (answered, seconds, instances)

    def _queries(self) -> Iterator[Metric]:
        answered = CounterMetricFamily(
            "dicomroute_queries", "C-FIND requests answered, by final status.", labels=["listener", "status"]
        )
        seconds = HistogramMetricFamily(
            "dicomroute_query_seconds",
            "Time from the first byte of a C-FIND to its final response.",
            labels=["listener"],
        )
        matches = CounterMetricFamily(
            "dicomroute_query_matches", "Matches sent in answers to queries.", labels=["listener"]
        )
        for name, one in self._measures.queries().items():
            for status, count in one.answers().items():
                answered.add_metric([name, status], count)
            _add(seconds, [name], one.query_seconds.snapshot())
            matches.add_metric([name], one.matches)
        failures = CounterMetricFamily(
            "dicomroute_archive_failures",
            "Queries and retrievals that an archive did not answer.",
            labels=["archive", "reason"],
        )
        for (archive, reason), count in self._measures.archive_failures().items():
            failures.add_metric([archive, reason], count)
        yield from (answered, seconds, matches, failures)

    def _listeners(self) -> Iterator[Metric]:
        stores = CounterMetricFamily(
            "dicomroute_stores", "C-STORE requests answered, by status.", labels=["listener", "status"]
        )
        seconds = HistogramMetricFamily(
            "dicomroute_store_seconds", "Time from the first byte of a C-STORE to its response.", labels=["listener"]
        )
        sizes = HistogramMetricFamily(
            "dicomroute_instance_bytes", "Data sets of the instances answered with success.", labels=["listener"]
        )
        received = CounterMetricFamily(
            "dicomroute_received_bytes", "Bytes of the data sets answered with success.", labels=["listener"]
        )
        for name, one in self._measures.listeners().items():
            for status, count in one.answers().items():
                stores.add_metric([name, f"{status:04X}"], count)
            _add(seconds, [name], one.store_seconds.snapshot())
            size = one.instance_bytes.snapshot()
            _add(sizes, [name], size)
            received.add_metric([name], size.sum)
        yield from (stores, seconds, sizes, received)

    def _destinations(self) -> Iterator[Metric]:
        attempts = CounterMetricFamily(
            "dicomroute_delivery_attempts",
            "Deliveries attempted, by the reason of the outcome.",
            labels=["destination", "reason"],
        )
        seconds = HistogramMetricFamily(
            "dicomroute_delivery_attempt_seconds", "Duration of an attempt.", labels=["destination"]
        )
        age = HistogramMetricFamily(
            "dicomroute_delivery_seconds", "Time from receiving an instance to its delivery.", labels=["destination"]
        )
        delivered = CounterMetricFamily(
            "dicomroute_delivered_bytes", "Bytes of the data sets delivered.", labels=["destination"]
        )
        for name, one in self._measures.destinations().items():
            for reason, count in one.attempts().items():
                attempts.add_metric([name, reason], count)
            _add(seconds, [name], one.attempt_seconds.snapshot())
            _add(age, [name], one.delivery_seconds.snapshot())
            delivered.add_metric([name], one.delivered_bytes)
        yield from (attempts, seconds, age, delivered)


def _add(family: HistogramMetricFamily, labels: list[str], seen: HistogramSnapshot) -> None:
    bounds = [f"{bound:g}" if bound < 1 << 20 else str(bound) for bound in seen.bounds]
    buckets = list(zip([*bounds, "+Inf"], map(float, seen.cumulative), strict=True))
    family.add_metric(labels, buckets, seen.sum)


def _by_reason(name: str, documentation: str, reasons: list[str]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=["reason"])
    for reason, count in Counter(reasons).items():
        family.add_metric([reason], count)
    return family


def _age(now: datetime, then: datetime) -> float:
    return max(0.0, (now - then).total_seconds())

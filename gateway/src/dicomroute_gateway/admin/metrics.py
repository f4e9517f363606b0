"""Prometheus metrics, made from the status document when they are asked for.

No label holds anything that a peer chose: no AE title, no UID.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from .model import StatusDocument

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(status: StatusDocument) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(status))
    return generate_latest(registry)


class _Collector:
    def __init__(self, status: StatusDocument) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield GaugeMetricFamily("dicomroute_ready", "1 while the gateway receives instances.", int(status.ready))
        yield GaugeMetricFamily("dicomroute_problems", "Findings that a person has to mend.", len(status.problems))
        if status.associations:
            yield GaugeMetricFamily(
                "dicomroute_associations_open", "Associations that stand.", status.associations.open
            )
            yield CounterMetricFamily(
                "dicomroute_associations_accepted",
                "Associations accepted.",
                status.associations.accepted_total,
            )
            refused = CounterMetricFamily("dicomroute_associations_refused", "Associations refused.", labels=["reason"])
            for reason, count in status.associations.refused_total.items():
                refused.add_metric([reason], count)
            yield refused
            aborted = CounterMetricFamily(
                "dicomroute_associations_aborted", "Associations aborted by the gateway.", labels=["reason"]
            )
            for reason, count in status.associations.aborted_total.items():
                aborted.add_metric([reason], count)
            yield aborted
        if status.instances:
            yield CounterMetricFamily(
                "dicomroute_instances_received",
                "Instances accepted or discarded.",
                status.instances.received_total,
            )
            finished = CounterMetricFamily(
                "dicomroute_instances_finished",
                "Instances of which nothing is left to do.",
                labels=["outcome"],
            )
            finished.add_metric(["delivered"], status.instances.delivered_total)
            finished.add_metric(["skipped"], status.instances.skipped_total)
            finished.add_metric(["discarded"], status.instances.discarded_total)
            yield finished
            yield GaugeMetricFamily(
                "dicomroute_instances_owed", "Instances that somebody is still to get.", status.instances.owed
            )
            yield GaugeMetricFamily(
                "dicomroute_instances_dead_lettered",
                "Instances that a destination refused.",
                status.instances.dead_lettered,
            )
        if status.oldest_owed_time:
            age = (status.time - status.oldest_owed_time).total_seconds()
            yield GaugeMetricFamily("dicomroute_oldest_owed_seconds", "Age of the oldest instance owed.", max(0.0, age))
        deliveries = GaugeMetricFamily(
            "dicomroute_deliveries", "Deliveries by destination and state.", labels=["destination", "state"]
        )
        delivered = CounterMetricFamily("dicomroute_deliveries_delivered", "Deliveries made.", labels=["destination"])
        for destination in status.destinations:
            name = f"{destination.kind}/{destination.name}"
            delivered.add_metric([name], destination.delivered_total)
            for state in ("pending", "in_flight", "held", "dead_lettered"):
                deliveries.add_metric([name, state], getattr(destination, state))
        yield deliveries
        yield delivered
        if status.spool:
            yield GaugeMetricFamily("dicomroute_spool_used_bytes", "Bytes used of the spool.", status.spool.used_bytes)
            yield GaugeMetricFamily(
                "dicomroute_spool_capacity_bytes", "Bytes the spool may hold.", status.spool.capacity_bytes
            )
            yield GaugeMetricFamily(
                "dicomroute_spool_watermark_bytes",
                "Bytes above which 0xA700 is answered.",
                status.spool.watermark_bytes,
            )
            yield GaugeMetricFamily(
                "dicomroute_spool_fill_bytes_per_second",
                "Growth of the spool over ten minutes.",
                status.spool.fill_bytes_per_second,
            )

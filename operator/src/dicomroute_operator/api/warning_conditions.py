"""Reasons of conditions that warn: everything works, and somebody should look."""

from .reason import Reason


class Suspended(Reason):
    """A mode of the manifest stops a part of the route, and the gateway obeys it. Present only while true."""

    REFUSES_ASSOCIATIONS = (
        "RefusesAssociations",
        "The route or a listener is in mode RefuseAssociations. The message names all modes that are not Running. Set "
        "the mode to Running to end this: see docs/runbooks/held.md.",
    )
    HOLDS_DELIVERIES = (
        "HoldsDeliveries",
        "The route, a destination or a rule is in mode HoldDeliveries. Instances are received and kept. The message "
        "names all modes that are not Running. Set the mode to Running to end this: see docs/runbooks/held.md.",
    )
    REFUSES_QUERIES = (
        "RefusesQueries",
        "queryRetrieve is in mode Refuse. The message names it. Set the mode to Running to end this: see "
        "docs/runbooks/held.md.",
    )


class OpenToAnywhere(Reason):
    """Any caller that reaches the load balancer can try to associate. Present only while true."""

    LOAD_BALANCER_OPEN = (
        "LoadBalancerOpen",
        "The Service is a LoadBalancer, and a listener or one of its nodes accepts callers from any address. AE "
        "titles are not secret. Add allowedSources to the nodes, or use another type of Service.",
    )
    SOURCES_NOT_BOUND = (
        "SourcesNotBound",
        "The Service is a LoadBalancer that accepts connections from every address, because "
        "gateway.service.loadBalancerSources says so. Only the gateway checks the addresses of callers.",
    )


class QueriesInClear(Reason):
    """Patient names cross a network unencrypted. Present only while true."""

    PLAIN_LISTENER = (
        "PlainListener",
        "A listener that serves queries has no TLS, and queries and answers contain patient names. Add tls to the "
        "listener, or keep its connections on one trusted network.",
    )


class CommitsOnAnswer(Reason):
    """Storage commitment relies on weak evidence. Present only while true."""

    DESTINATION_ONLY_ANSWERS = (
        "DestinationOnlyAnswers",
        "The route commits to an instance as soon as a destination answers that it took the instance. Senders may "
        "delete their copy after a commitment. Set destinations[].confirm so that the destination confirms that it "
        "stored the instance: see docs/runbooks/storage-commitment.md.",
    )


class ReportsUndeliverable(Reason):
    """Some requestors of storage commitment cannot get a report. Present only while true."""

    REQUESTOR_HAS_NO_HOST = (
        "RequestorHasNoHost",
        "A node of a listener with storage commitment has no host. The gateway can report to it only on the "
        "association of its request, but many results come later. Add a host and a port to the node: see "
        "docs/runbooks/storage-commitment.md.",
    )
    ANYBODY_MAY_ASK = (
        "AnybodyMayAsk",
        "A listener with storage commitment accepts callers that are not a DicomNode (sources.policy: Any). The "
        "gateway can report to them only on the association of their request. Name the nodes and their hosts: see "
        "docs/runbooks/storage-commitment.md.",
    )


class CredentialsInClear(Reason):
    """A credential crosses a network unencrypted. Present only while true."""

    PLAIN_HTTP = (
        "PlainHTTP",
        "The URL of the target or of its token endpoint starts with http://, and requests carry a credential. Use "
        "https://, or keep the whole path on one trusted machine.",
    )


class NameNotVerified(Reason):
    """The name in a node's certificate is not verified. Present only while true."""

    ANY_NAME = (
        "AnyName",
        "spec.tls.verifyName is None, so any certificate of the authorities in spec.tls.caBundleRef is accepted as "
        "this node's. Set spec.tls.serverName to the name in the node's certificate, or use an authority that issues "
        "certificates only to this node or to few others.",
    )


class CredentialsExpiring(Reason):
    """A credential of a destination or a listener expires within 14 days, or has expired. Present only while true."""

    EXPIRES_SOON = (
        "ExpiresSoon",
        "A certificate, an authority or a bearer token expires within 14 days. The message says which one, and when. "
        "Renew it in its Secret or ConfigMap. No restart is needed. A bundle expires with the last of its authorities.",
    )
    EXPIRED = (
        "Expired",
        "A certificate, an authority or a bearer token has expired. Deliveries to its destination wait, or clients "
        "that verify the certificate cannot connect to its listener. Renew it in its Secret or ConfigMap. No restart "
        "is needed.",
    )

"""Condition types and the reasons they may carry, each with what it means: the source of docs/conditions.md."""

from .node_conditions import NodeReachable
from .reason import Reason
from .spool_conditions import AddressPending, SpoolAtRisk, SpoolPressure, SpoolResizing
from .target_conditions import Authenticated, Reachable, TargetReady


class Accepted(Reason):
    """The manifest contradicts neither itself nor the objects that it names."""

    ACCEPTED = ("Accepted", "Nothing contradicts anything.")
    SOURCE_ADDRESS_HIDDEN = (
        "SourceAddressHidden",
        "A node may call from certain networks alone, and the Service hides the address of its callers: "
        "set externalTrafficPolicy: Local.",
    )
    ALLOWED_SOURCES_BYPASSED = (
        "AllowedSourcesBypassed",
        "Two nodes of one listener call with the same AE title, one from certain networks and one from anywhere, so "
        "that the networks protect nothing: give them different titles or the same restriction.",
    )
    CERTIFICATES_BYPASSED = (
        "CertificatesBypassed",
        "Two nodes of one listener call with the same AE title from the same network, one with certificates and one "
        "without, so that the certificates protect nothing: give both certificates, or different titles or networks.",
    )
    SERVICE_PORT_CONFLICT = (
        "ServicePortConflict",
        "The Service would publish two listeners on one port, one of them by gateway.service.ports: give each its own.",
    )
    RULE_UNREACHABLE = (
        "RuleUnreachable",
        "With ruleMatching: First a rule without a condition takes everything, so that those behind it never apply: "
        "move it to the end.",
    )
    CONFLICTING_TREATMENT = (
        "ConflictingTreatment",
        "Two rules send one instance to one destination with different transforms. Remove the destination from one of "
        "them, give both the same transform, or use ruleMatching: First.",
    )
    CONFLICTING_IDENTITIES = (
        "ConflictingIdentities",
        "Two targets of the route need different identities of one cloud, and its pods have one service account: give "
        "each target a route of its own, or both the same identity.",
    )
    ARCHIVE_TAKES_DEIDENTIFIED_ONLY = (
        "ArchiveTakesDeidentifiedOnly",
        "queryRetrieve names an archive that is to see de-identified data alone, and a query carries names of "
        "patients: it is not asked. Remove it from queryRetrieve.archives, or name another target.",
    )
    QUERY_CLIENT_NOT_ADMITTED = (
        "QueryClientNotAdmitted",
        "A node may query, and no listener of queryRetrieve has it among its sources, so that its associations are "
        "rejected: add it to the sources of one.",
    )
    MOVE_DESTINATIONS_ALIKE = (
        "MoveDestinationsAlike",
        "Two nodes of queryRetrieve.moveDestinations have the same AE title, which is all that a C-MOVE says of its "
        "destination: remove one of them, or correct its aeTitle.",
    )
    MOVE_DESTINATION_IS_GATEWAY = (
        "MoveDestinationIsGateway",
        "A node of queryRetrieve.moveDestinations is this gateway itself, which would receive what it has: remove it.",
    )
    CONFLICTED = (
        "Conflicted",
        "An older route asks for the same node port or the same load balancer address and keeps it: choose another.",
    )
    SPOOL_OF_ANOTHER_ROUTE = (
        "SpoolOfAnotherRoute",
        "A deleted route of the same name has left a spool, which may still hold what was never delivered: take it "
        "over with gateway.spool.adopt: true, or delete the claim, or choose another name.",
    )
    MACHINE_IDENTITY_NOT_ALLOWED = (
        "MachineIdentityNotAllowed",
        "The target uses the identity of the node, and the platform does not allow that: the chart's "
        "gateway.machineIdentities. The gateway cannot reach the metadata service, and gets no token.",
    )
    CONFIGURATION_TOO_LARGE = (
        "ConfigurationTooLarge",
        "What the gateway is to be told does not fit into a ConfigMap, which holds 1 MiB: split the route.",
    )


class ResolvedRefs(Reason):
    """Every object that the manifest names exists. While one is missing, what is meant for it waits."""

    RESOLVED_REFS = ("ResolvedRefs", "All that is named exists.")
    NODE_NOT_FOUND = (
        "NodeNotFound",
        "A listener, a rule or queryRetrieve names a DicomNode that does not exist: create it, or correct the name. "
        "What is owed to it is Held.",
    )
    NODE_MAY_NOT_CALL = (
        "NodeMayNotCall",
        "A listener names a DicomNode that says not where it may call from, so that it is refused: give it "
        "allowedSources, or remove it from the listener.",
    )
    NODE_CERTIFICATE_NOT_VERIFIED = (
        "NodeCertificateNotVerified",
        "A DicomNode that has to show one of its certificates may call a listener that verifies none, so that it is "
        "refused there: give the listener tls with clientCertificates: Required, or the node no certificates.",
    )
    NO_NODE_SELECTED = (
        "NoNodeSelected",
        "A listener's selector chooses no DicomNode, and it names none, so that nobody may associate: label one.",
    )
    TARGET_NOT_FOUND = (
        "TargetNotFound",
        "A rule or queryRetrieve names a CloudTarget that does not exist: create it, or correct the name. Its "
        "deliveries are Held; as an archive it is not asked.",
    )
    PROFILE_NOT_FOUND = (
        "ProfileNotFound",
        "A rule names a DeidentificationProfile that does not exist: create it, or correct the name. What the rule "
        "takes is Held.",
    )
    NODE_HAS_NO_HOST = (
        "NodeHasNoHost",
        "A rule names a DicomNode as a destination that says not where it is called: give it a host. Its deliveries "
        "are Held.",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "A target's credential, the TLS of a listener or a node, or the spool's encryption, names a Secret that does "
        "not exist: create it. What needs it waits. In a cluster, where the operator may not read Secrets, also when "
        "the Secret is there without the key that is named.",
    )
    SECRET_KEY_MISSING = (
        "SecretKeyMissing",
        "A target's credential, the TLS of a listener or a node, or the spool's encryption, names a key that its "
        "Secret does not have: add it. What needs it waits.",
    )
    CONFIG_MAP_NOT_FOUND = (
        "ConfigMapNotFound",
        "A target, a node or a listener trusts certificates of a ConfigMap that does not exist: create it. What needs "
        "it waits. In a cluster also when the ConfigMap is there without the key that is named.",
    )
    CONFIG_MAP_KEY_MISSING = (
        "ConfigMapKeyMissing",
        "A target, a node or a listener trusts certificates in a key that its ConfigMap does not have: add it. What "
        "needs it waits.",
    )


class Programmed(Reason):
    """The gateway's pods report that they work by this version of the manifest."""

    PROGRAMMED = ("Programmed", "Every pod reports this configuration.")
    NOT_ACCEPTED = (
        "NotAccepted",
        "The manifest is not accepted, so that the last configuration that was goes on; what was removed is removed.",
    )
    PENDING = ("Pending", "A pod has not reported this configuration yet.")
    APPLY_FAILED = (
        "ApplyFailed",
        "The API server refused an object of the route; the message is its own. It is tried again.",
    )
    PAUSED = ("Paused", "The route is paused, and this version of its manifest waits for the end of that.")
    SPOOL_CLASS_CHANGED = (
        "SpoolClassChanged",
        "The claim of the spool was made for another storage class and has no volume: delete it and the StatefulSet, "
        "which are made anew. Nothing is lost.",
    )
    LISTENERS_INVALID = ("ListenersInvalid", "The gateway cannot use the listeners and goes on with the last ones.")
    RULE_INVALID = (
        "RuleInvalid",
        "A rule's condition does not compile: mend its CEL. The gateway goes on with the last rules that did.",
    )
    DESTINATION_INVALID = (
        "DestinationInvalid",
        "The gateway cannot use a destination and goes on with what it last was.",
    )
    CONFIGURATION_UNUSABLE = (
        "ConfigurationUnusable",
        "The gateway cannot load its configuration at all and goes on with the last one, if it has one.",
    )
    STATUS_STALE = ("StatusStale", "No pod could be asked for 30 seconds.")


class Ready(Reason):
    """The route receives: its listeners are open and what arrives can be kept."""

    READY = (
        "Ready",
        "Every pod receives. The nodes send callers of the Service there a moment later, up to a few seconds: until "
        "then a connection is refused.",
    )
    SCALED_TO_ZERO = ("ScaledToZero", "gateway.replicas is 0: nothing is received or delivered; the spool stays.")
    NOT_ACCEPTED = ("NotAccepted", "The manifest is not accepted and the route never ran: see Accepted.")
    STATUS_STALE = ("StatusStale", "A pod could not be asked for 30 seconds, so that nothing is known of it.")
    POD_MISSING = ("PodMissing", "There is no pod yet.")
    POD_REFUSED = (
        "PodRefused",
        "The cluster refuses to make the pod, because of a quota, a policy or a webhook: the message is its own.",
    )
    UNSCHEDULABLE = ("Unschedulable", "No node takes the pod: the message of the scheduler says why.")
    VOLUME_PENDING = ("VolumePending", "The claim of the spool has no volume: the message says why.")
    VOLUME_NOT_MOUNTED = (
        "VolumeNotMounted",
        "The node cannot give the pod its spool, a Secret or a ConfigMap: the message is the node's own.",
    )
    IMAGE_UNAVAILABLE = ("ImageUnavailable", "The image of the gateway cannot be pulled: correct its name or secret.")
    CONTAINER_FAILING = ("ContainerFailing", "The gateway ends by itself again and again: its log says why.")
    STARTING = ("Starting", "The pod is starting.")
    TERMINATING = ("Terminating", "The pod is ending; another follows.")
    CONFIGURATION_UNUSABLE = (
        "ConfigurationUnusable",
        "The gateway has neither a usable configuration nor a last good one: the message says what is wrong with it.",
    )
    PORT_UNAVAILABLE = ("PortUnavailable", "A listener's port cannot be opened in the pod: choose another.")
    SPOOL_UNUSABLE = ("SpoolUnusable", "The spool's volume cannot be used: the message says what the system answered.")
    SPOOL_CORRUPT = (
        "SpoolCorrupt",
        "The spool holds what no crash explains, and nothing is received until a person has looked: "
        "see docs/runbooks/spool-corrupt.md.",
    )
    SPOOL_VOLUME_UNSAFE = (
        "SpoolVolumeUnsafe",
        "The spool's volume cannot keep what is acknowledged, such as one in memory: choose another storage class.",
    )
    SPOOL_FAILED = (
        "SpoolFailed",
        "Writing to the spool failed, and the volume is not trusted until the gateway is started again.",
    )
    SPOOL_KEY_MISSING = (
        "SpoolKeyMissing",
        "The Secret with the spool's key is not there, and nothing is taken in until it is: see "
        "docs/runbooks/spool-key.md.",
    )
    SPOOL_KEY_INVALID = (
        "SpoolKeyInvalid",
        "The Secret with the spool's key has a line that is no key, and nothing is taken in until that is mended: see "
        "docs/runbooks/spool-key.md.",
    )
    NOT_RECEIVING = ("NotReceiving", "The gateway does not receive: the message says why.")


class DeliveryStalled(Reason):
    """What is owed to a destination is not arriving there. Present only while true."""

    DESTINATION_FAILING = (
        "DestinationFailing",
        "A destination has refused or not answered for two minutes, and what is owed to it waits; the message has its "
        "last fault. It is tried again for ever, and nothing else waits for it.",
    )
    DESTINATION_PAUSED = (
        "DestinationPaused",
        "A destination refuses whatever is sent to it, as it or its target is configured: the message has its answer. "
        "Mend the URL, the credential or its rights. One delivery at a time asks again; the others wait, and none "
        "becomes a dead letter.",
    )
    NOT_CONFIRMED = (
        "NotConfirmed",
        "A destination took instances and has not confirmed them as destinations[].confirm asks of it; the message has "
        "what it last said. It is asked again, and the spool keeps the bytes: see docs/runbooks/target-down.md.",
    )


class Held(Reason):
    """Something waits for a person. Present only while true."""

    DELIVERIES_HELD = (
        "DeliveriesHeld",
        "Instances or deliveries are held: by the mode, by a destination that was removed, by a rule's error, "
        "because no rule takes them, or because a transform cannot be carried out: see docs/runbooks/held.md.",
    )


class ArchiveUnreachable(Reason):
    """An archive of queryRetrieve does not answer. Present only while true."""

    ARCHIVE_FAILING = (
        "ArchiveFailing",
        "An archive did not answer a query, or refused it; the message has its fault. Others and the spool still "
        "answer. The archive is asked again until it answers.",
    )


class OpenToAnywhere(Reason):
    """Everybody who reaches the load balancer may try to associate. Present only while true."""

    LOAD_BALANCER_OPEN = (
        "LoadBalancerOpen",
        "The Service is a LoadBalancer, and a listener or one of its nodes takes callers from any address: AE titles "
        "are no secrets. Give the nodes allowedSources, or the Service another type.",
    )
    SOURCES_NOT_BOUND = (
        "SourcesNotBound",
        "The Service is a LoadBalancer that lets everybody in, as gateway.service.loadBalancerSources says, and the "
        "gateway alone looks who calls.",
    )


class QueriesInClear(Reason):
    """Names of patients cross a network unprotected. Present only while true."""

    PLAIN_LISTENER = (
        "PlainListener",
        "A listener that serves queries has no TLS, and identifiers and answers carry names of patients: give it tls, "
        "or keep the way to its clients on one trusted network.",
    )


class CommitsOnAnswer(Reason):
    """Senders are promised that instances are kept on grounds that are weak. Present only while true."""

    DESTINATION_ONLY_ANSWERS = (
        "DestinationOnlyAnswers",
        "The route commits to instances once a destination has answered that it took them, and nothing confirms that "
        "it has them. Senders delete what is committed to: give the destination a confirm that says more: see "
        "docs/runbooks/storage-commitment.md.",
    )


class ReportsUndeliverable(Reason):
    """Some who ask for storage commitment cannot be reported to. Present only while true."""

    REQUESTOR_HAS_NO_HOST = (
        "RequestorHasNoHost",
        "A node of a listener with storage commitment has no host, so that a report can reach it on the association "
        "of its request alone, and many are decided later: give the node a host and a port: see "
        "docs/runbooks/storage-commitment.md.",
    )
    ANYBODY_MAY_ASK = (
        "AnybodyMayAsk",
        "A listener with storage commitment takes callers that are no DicomNode (sources.policy: Any): they are "
        "reported to on the association of their request alone. Name the nodes, with their hosts: see "
        "docs/runbooks/storage-commitment.md.",
    )


class CredentialsInClear(Reason):
    """A credential crosses a network unprotected. Present only while true."""

    PLAIN_HTTP = (
        "PlainHTTP",
        "The URL of the target, or of what gives tokens for it, begins with http:// and requests carry a credential: "
        "use https://, or keep the path on one trusted machine.",
    )


class NameNotVerified(Reason):
    """The name in a node's certificate is not looked at. Present only while true."""

    ANY_NAME = (
        "AnyName",
        "spec.tls.verifyName is None: whoever holds a certificate of the authorities in spec.tls.caBundleRef can take "
        "the node's place. Say the name that its certificate has in spec.tls.serverName, or name an authority that "
        "issues to this node, or to few.",
    )


class CredentialsExpiring(Reason):
    """A credential of a destination or a listener ends within 14 days, or has ended. Present only while true."""

    EXPIRES_SOON = (
        "ExpiresSoon",
        "A certificate, an authority or a bearer token ends within 14 days; the message says whose, and when: renew it "
        "in its Secret or ConfigMap, which is used without a restart. A bundle ends with the last of its authorities.",
    )
    EXPIRED = (
        "Expired",
        "A certificate, an authority or a bearer token has ended: what is owed to its destination waits, or nobody who "
        "looks gets into its listener. Renew it in its Secret or ConfigMap, which is used without a restart.",
    )


class Paused(Reason):
    """The operator leaves the route's objects as they are. Present only while true."""

    PAUSED_BY_ANNOTATION = (
        "PausedByAnnotation",
        "The annotation dicomroute.dev/paused is true: what is changed or deleted of the route's objects stays so, and "
        "the manifest counts when the annotation goes. The status is kept up meanwhile.",
    )


class Stalled(Reason):
    """The newest version of the manifest is not in effect, and waiting does not help. Present only while true.

    A word of kstatus, which Helm, Flux and others understand.
    """

    NOT_IN_EFFECT = (
        "NotInEffect",
        "The newest version of the manifest is not in effect, or not all of it: Accepted or Programmed says why. What "
        "was in effect goes on.",
    )
    NEWER_THAN_OPERATOR = (
        "NewerThanOperator",
        "The object, or one that it names, is newer than this operator understands, and stays as it is: upgrade the "
        "operator.",
    )


class Reconciling(Reason):
    """The newest version of the manifest is on its way. Present only while true.

    A word of kstatus, which Helm, Flux and others understand.
    """

    PROGRESSING = ("Progressing", "Pods are starting, or have not taken over the newest version yet.")


EVERY_KIND = ("*",)

CONDITIONS: tuple[tuple[type[Reason], tuple[str, ...]], ...] = (
    (Accepted, EVERY_KIND),
    (ResolvedRefs, ("DicomRoute",)),
    (Programmed, ("DicomRoute",)),
    (Ready, ("DicomRoute",)),
    (Reachable, ("CloudTarget",)),
    (NodeReachable, ("DicomNode",)),
    (Authenticated, ("CloudTarget",)),
    (TargetReady, ("CloudTarget",)),
    (SpoolPressure, ("DicomRoute",)),
    (SpoolAtRisk, ("DicomRoute",)),
    (SpoolResizing, ("DicomRoute",)),
    (AddressPending, ("DicomRoute",)),
    (DeliveryStalled, ("DicomRoute",)),
    (Held, ("DicomRoute",)),
    (ArchiveUnreachable, ("DicomRoute",)),
    (OpenToAnywhere, ("DicomRoute",)),
    (QueriesInClear, ("DicomRoute",)),
    (CommitsOnAnswer, ("DicomRoute",)),
    (ReportsUndeliverable, ("DicomRoute",)),
    (CredentialsInClear, ("CloudTarget",)),
    (NameNotVerified, ("DicomNode",)),
    (CredentialsExpiring, ("DicomRoute", "DicomNode", "CloudTarget")),
    (Paused, ("DicomRoute",)),
    (Stalled, EVERY_KIND),
    (Reconciling, ("DicomRoute",)),
)
"""Every condition type with the kinds that carry it, or EVERY_KIND."""

NEGATIVE: frozenset[type[Reason]] = frozenset(
    (
        SpoolPressure,
        SpoolAtRisk,
        SpoolResizing,
        AddressPending,
        DeliveryStalled,
        Held,
        ArchiveUnreachable,
        OpenToAnywhere,
        QueriesInClear,
        CommitsOnAnswer,
        ReportsUndeliverable,
        CredentialsInClear,
        NameNotVerified,
        CredentialsExpiring,
        Paused,
        Stalled,
        Reconciling,
    )
)
"""Condition types that are present only while they are True, and then say that something is wrong."""

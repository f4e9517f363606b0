"""Condition types and their reasons, each with its meaning: the source of docs/conditions.md."""

from .node_conditions import NodeReachable
from .reason import Reason
from .spool_conditions import AddressPending, SpoolAtRisk, SpoolPressure, SpoolResizing
from .target_conditions import Authenticated, Reachable, TargetReady
from .warning_conditions import (
    CommitsOnAnswer,
    CredentialsExpiring,
    CredentialsInClear,
    NameNotVerified,
    OpenToAnywhere,
    QueriesInClear,
    ReportsUndeliverable,
    Suspended,
)


class Accepted(Reason):
    """The manifest is consistent in itself and with the objects that it references."""

    ACCEPTED = ("Accepted", "The manifest is consistent.")
    SOURCE_ADDRESS_HIDDEN = (
        "SourceAddressHidden",
        "A node has allowedSources, but the Service hides the addresses of its callers. Set externalTrafficPolicy: "
        "Local.",
    )
    ALLOWED_SOURCES_BYPASSED = (
        "AllowedSourcesBypassed",
        "Two nodes of one listener use the same calling AE title, and only one of them has allowedSources. The "
        "restriction therefore has no effect. Give the nodes different titles, or give both the same restriction.",
    )
    CERTIFICATES_BYPASSED = (
        "CertificatesBypassed",
        "Two nodes of one listener use the same calling AE title and the same network, and only one of them requires "
        "a certificate. The certificates therefore have no effect. Require certificates of both, or give the nodes "
        "different titles or networks.",
    )
    SERVICE_PORT_CONFLICT = (
        "ServicePortConflict",
        "The Service would publish two listeners on the same port. Give each listener its own port in "
        "gateway.service.ports.",
    )
    RULE_UNREACHABLE = (
        "RuleUnreachable",
        "With ruleMatching: First, a rule without a condition matches every instance, so the rules after it never "
        "apply. Move it to the end.",
    )
    CONFLICTING_TREATMENT = (
        "ConflictingTreatment",
        "Two rules send one instance to one destination with different transforms. Remove the destination from one of "
        "them, give both the same transform, or use ruleMatching: First.",
    )
    CONFLICTING_IDENTITIES = (
        "ConflictingIdentities",
        "Two targets of the route need different identities of one cloud, but the pods of a route have only one "
        "service account. Use a separate route for each target, or the same identity for both.",
    )
    ARCHIVE_TAKES_DEIDENTIFIED_ONLY = (
        "ArchiveTakesDeidentifiedOnly",
        "queryRetrieve names an archive with accepts: DeidentifiedOnly. A query contains patient names, so the "
        "archive is not queried. Remove it from queryRetrieve.archives, or name another target.",
    )
    QUERY_CLIENT_NOT_ADMITTED = (
        "QueryClientNotAdmitted",
        "A node is allowed to query, but it is not among the sources of any listener of queryRetrieve, so its "
        "associations are rejected. Add it to the sources of one of these listeners.",
    )
    MOVE_DESTINATIONS_ALIKE = (
        "MoveDestinationsAlike",
        "Two nodes in queryRetrieve.moveDestinations have the same AE title, and a C-MOVE names its destination only "
        "by AE title. Remove one of them, or correct its aeTitle.",
    )
    NODE_TAKES_DEIDENTIFIED_ONLY = (
        "NodeTakesDeidentifiedOnly",
        "queryRetrieve names a node that is to see de-identified data alone. Answers and retrieved instances carry "
        "names of patients, so its requests are refused, and so is each C-MOVE to it: remove it from clients and "
        "moveDestinations, or set accepts: Any on it.",
    )
    MOVE_DESTINATION_IS_GATEWAY = (
        "MoveDestinationIsGateway",
        "A node in queryRetrieve.moveDestinations is this gateway itself. Remove it.",
    )
    CONFLICTED = (
        "Conflicted",
        "An older route already uses the same node port or load balancer address, and keeps it. Choose another.",
    )
    SPOOL_OF_ANOTHER_ROUTE = (
        "SpoolOfAnotherRoute",
        "A deleted route with the same name left a spool behind. The spool may contain instances that were never "
        "delivered. Set gateway.spool.adopt: true to take it over, delete the claim, or choose another route name.",
    )
    MACHINE_IDENTITY_NOT_ALLOWED = (
        "MachineIdentityNotAllowed",
        "The target uses the identity of the Kubernetes node, but the chart's value gateway.machineIdentities does "
        "not allow this type. The gateway cannot reach the metadata service and gets no token. Add the type there, or "
        "use another one.",
    )
    CONFIGURATION_TOO_LARGE = (
        "ConfigurationTooLarge",
        "The gateway's configuration is larger than a ConfigMap can hold (1 MiB). The message contains its size and "
        "its largest part. Make that part smaller, or split the route: see docs/runbooks/configuration-invalid.md.",
    )


class ResolvedRefs(Reason):
    """All referenced objects exist. While one is missing, only the work that needs it waits."""

    RESOLVED_REFS = ("ResolvedRefs", "All referenced objects exist.")
    NODE_NOT_FOUND = (
        "NodeNotFound",
        "A listener, a rule or queryRetrieve references a DicomNode that does not exist. Create it, or correct the "
        "name. Until then, its deliveries are Held.",
    )
    NODE_MAY_NOT_CALL = (
        "NodeMayNotCall",
        "A listener references a DicomNode without allowedSources, so the listener refuses the node. Add "
        "allowedSources, or remove the node from the listener.",
    )
    NODE_CERTIFICATE_NOT_VERIFIED = (
        "NodeCertificateNotVerified",
        "A DicomNode has certificates, but its listener does not verify client certificates, so the listener refuses "
        "the node. Set tls.clientCertificates: Required on the listener, or remove the certificates from the node.",
    )
    NO_NODE_SELECTED = (
        "NoNodeSelected",
        "A listener names no DicomNode, and its selector matches none, so no node can associate. Add a matching label "
        "to a node.",
    )
    TARGET_NOT_FOUND = (
        "TargetNotFound",
        "A rule or queryRetrieve references a CloudTarget that does not exist. Create it, or correct the name. Until "
        "then, its deliveries are Held, and as an archive it is not queried.",
    )
    PROFILE_NOT_FOUND = (
        "ProfileNotFound",
        "A rule references a DeidentificationProfile that does not exist. Create it, or correct the name. Until then, "
        "instances that match the rule are Held.",
    )
    NODE_HAS_NO_HOST = (
        "NodeHasNoHost",
        "A rule uses a DicomNode without spec.host as a destination. Add spec.host. Until then, its deliveries are "
        "Held.",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "The credential of a target, the TLS settings of a listener or node, or the encryption of the spool "
        "references a Secret that does not exist. Create it. Until then, the work that needs it waits. In a cluster, "
        "the operator cannot read Secrets, so this reason also means that the Secret exists without the referenced "
        "key.",
    )
    SECRET_KEY_MISSING = (
        "SecretKeyMissing",
        "The credential of a target, the TLS settings of a listener or node, or the encryption of the spool "
        "references a key that its Secret does not have. Add the key. Until then, the work that needs it waits.",
    )
    CONFIG_MAP_NOT_FOUND = (
        "ConfigMapNotFound",
        "A target, node or listener references CA certificates in a ConfigMap that does not exist. Create it. Until "
        "then, the work that needs it waits. In a cluster, this reason also means that the ConfigMap exists without "
        "the referenced key.",
    )
    CONFIG_MAP_KEY_MISSING = (
        "ConfigMapKeyMissing",
        "A target, node or listener references CA certificates in a key that its ConfigMap does not have. Add the "
        "key. Until then, the work that needs it waits.",
    )


class Programmed(Reason):
    """The gateway's pods report that this version of the manifest is in effect."""

    PROGRAMMED = ("Programmed", "Every pod reports this configuration.")
    NOT_ACCEPTED = (
        "NotAccepted",
        "The manifest is not accepted, so the last accepted configuration stays in effect. Listeners, rules and "
        "destinations that were removed are removed all the same.",
    )
    PENDING = ("Pending", "A pod has not reported this configuration yet.")
    APPLY_FAILED = (
        "ApplyFailed",
        "The API server refused an object of the route. The message is the API server's own. The operator retries.",
    )
    PAUSED = ("Paused", "The route is paused. This version of the manifest takes effect when the pause ends.")
    SPOOL_CLASS_CHANGED = (
        "SpoolClassChanged",
        "The claim of the spool was created for another storage class and has no volume. Delete the claim and the "
        "StatefulSet, and the operator creates them again. Nothing is lost.",
    )
    LISTENERS_INVALID = (
        "ListenersInvalid",
        "The gateway cannot use the listeners, so the last usable listeners stay in effect.",
    )
    RULE_INVALID = (
        "RuleInvalid",
        "The condition of a rule does not compile. Fix its CEL. Until then, the last usable rules stay in effect.",
    )
    TREATMENT_NOT_IN_FORCE = (
        "TreatmentNotInForce",
        "A destination gets a treatment, or takes de-identified data alone, and no pod has said yet that its gateway "
        "can do that. Its deliveries are Held. This ends by itself once the pods have been asked. Where "
        "spec.gateway.image names an older gateway, remove it, or name a newer one.",
    )
    DESTINATION_INVALID = (
        "DestinationInvalid",
        "The gateway cannot use the definition of a destination, so the last usable definition stays in effect.",
    )
    CONFIGURATION_UNUSABLE = (
        "ConfigurationUnusable",
        "The gateway cannot load its configuration. It continues with the last good one, if there is one.",
    )
    STATUS_STALE = ("StatusStale", "No pod could be asked for 30 seconds.")


class Ready(Reason):
    """The route receives: its listeners are open, and the spool can store what arrives."""

    READY = (
        "Ready",
        "Every pod receives. The cluster may need a few more seconds to route connections of the Service to the pods. "
        "Until then, a connection is refused.",
    )
    SCALED_TO_ZERO = (
        "ScaledToZero",
        "gateway.replicas is 0, so the route neither receives nor delivers. The spool is kept.",
    )
    NOT_ACCEPTED = (
        "NotAccepted",
        "The manifest is not accepted, and no earlier version was. See the condition Accepted.",
    )
    STATUS_STALE = ("StatusStale", "A pod could not be asked for 30 seconds, so its state is unknown.")
    POD_MISSING = ("PodMissing", "There is no pod yet.")
    POD_REFUSED = (
        "PodRefused",
        "The cluster refuses to create the pod because of a quota, a policy or a webhook. The message is the "
        "cluster's own.",
    )
    UNSCHEDULABLE = ("Unschedulable", "No Kubernetes node can run the pod. The scheduler's message says why.")
    VOLUME_PENDING = ("VolumePending", "The claim of the spool has no volume. The message says why.")
    VOLUME_NOT_MOUNTED = (
        "VolumeNotMounted",
        "The Kubernetes node cannot mount the spool, a Secret or a ConfigMap into the pod. The message is the node's "
        "own.",
    )
    IMAGE_UNAVAILABLE = (
        "ImageUnavailable",
        "The image of the gateway cannot be pulled. Correct the image name or the pull secret.",
    )
    CONTAINER_FAILING = ("ContainerFailing", "The gateway exits again and again. Its log says why.")
    STARTING = ("Starting", "The pod is starting.")
    TERMINATING = ("Terminating", "The pod is terminating. The next pod starts after it.")
    CONFIGURATION_UNUSABLE = (
        "ConfigurationUnusable",
        "The gateway has no usable configuration and no last good one. The message says what is wrong with the "
        "configuration.",
    )
    PORT_UNAVAILABLE = ("PortUnavailable", "A listener's port cannot be opened in the pod. Choose another port.")
    SPOOL_UNUSABLE = (
        "SpoolUnusable",
        "The volume of the spool cannot be used. The message contains the system's error.",
    )
    SPOOL_TOO_NEW = (
        "SpoolTooNew",
        "A newer release wrote to the spool, and this gateway cannot read it. Run that release again: see "
        "docs/runbooks/upgrade.md.",
    )
    SPOOL_CORRUPT = (
        "SpoolCorrupt",
        "The spool contains damage that no crash can explain. The gateway does not receive until a person has checked "
        "the spool: see docs/runbooks/spool-corrupt.md.",
    )
    SPOOL_VOLUME_UNSAFE = (
        "SpoolVolumeUnsafe",
        "The volume of the spool cannot store data durably, for example because it is in memory. Choose another "
        "storage class.",
    )
    SPOOL_FAILED = (
        "SpoolFailed",
        "Writing to the spool failed. The gateway does not trust the volume until it is restarted.",
    )
    SPOOL_KEY_MISSING = (
        "SpoolKeyMissing",
        "The Secret with the spool's key is missing, so the gateway does not receive until it exists: see "
        "docs/runbooks/spool-key.md.",
    )
    SPOOL_KEY_INVALID = (
        "SpoolKeyInvalid",
        "A line in the Secret with the spool's key is not a valid key. The gateway does not receive until that is "
        "fixed: see docs/runbooks/spool-key.md.",
    )
    NOT_RECEIVING = ("NotReceiving", "The gateway does not receive. The message says why.")


class DeliveryStalled(Reason):
    """Deliveries to a destination do not arrive. Present only while true."""

    DESTINATION_FAILING = (
        "DestinationFailing",
        "For two minutes, a destination has refused deliveries or not answered, so its deliveries wait. The message "
        "contains the last error. Each delivery is retried until it succeeds, and other destinations are not delayed.",
    )
    DESTINATION_PAUSED = (
        "DestinationPaused",
        "A destination refuses every delivery because of its configuration or the configuration of its server. The "
        "message contains its answer. Fix the URL, the credential or the permissions. One delivery at a time is "
        "retried while the others wait. None becomes a dead letter.",
    )
    NOT_CONFIRMED = (
        "NotConfirmed",
        "A destination took instances, but has not confirmed them as destinations[].confirm requires. The message "
        "contains its last answer. The gateway asks again until it confirms them, and the spool keeps the instances: "
        "see docs/runbooks/target-down.md.",
    )


class Held(Reason):
    """Instances or deliveries wait for a decision by a person. Present only while true."""

    DELIVERIES_HELD = (
        "DeliveriesHeld",
        "Instances or deliveries are held because of the mode, a removed destination or an error of a rule, because "
        "no rule matched, or because a transform failed: see docs/runbooks/held.md.",
    )


class ArchiveUnreachable(Reason):
    """An archive of queryRetrieve does not answer. Present only while true."""

    ARCHIVE_FAILING = (
        "ArchiveFailing",
        "An archive did not answer a query, or refused it. The message contains the error. The other archives and the "
        "spool still answer. The gateway retries until the archive answers.",
    )


class Paused(Reason):
    """The operator does not change the objects of the route. Present only while true."""

    PAUSED_BY_ANNOTATION = (
        "PausedByAnnotation",
        "The annotation dicomroute.dev/paused is true. The operator does not restore objects that are changed or "
        "deleted, and the manifest takes effect when the annotation is removed. The status is still updated.",
    )


class Stalled(Reason):
    """The newest version of the manifest is not in effect, and waiting does not help. Present only while true.

    A condition type of kstatus, which Helm, Flux and other tools understand.
    """

    NOT_IN_EFFECT = (
        "NotInEffect",
        "The newest version of the manifest, or a part of it, is not in effect. Accepted or Programmed says why. The "
        "last usable version stays in effect.",
    )
    NEWER_THAN_OPERATOR = (
        "NewerThanOperator",
        "The object, or an object that it references, is newer than this operator understands, so the operator does "
        "not change it. Upgrade the operator.",
    )


class Reconciling(Reason):
    """The newest version of the manifest is taking effect. Present only while true.

    A condition type of kstatus, which Helm, Flux and other tools understand.
    """

    PROGRESSING = ("Progressing", "Pods are starting, or do not use the newest version yet.")


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
    (Suspended, ("DicomRoute",)),
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
        Suspended,
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

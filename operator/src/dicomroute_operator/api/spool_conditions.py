"""Reasons of conditions on what a cluster gives to a route: its spool, its claims, its address."""

from .reason import Reason


class SpoolPressure(Reason):
    """The spool is above its watermark, or will be within a day. Present only while true."""

    FILLING = (
        "Filling",
        "The spool fills faster than it drains. At this rate it reaches its watermark within a day; the message says "
        "when. Fix the destinations that are behind, or raise gateway.spool.size.",
    )

    ABOVE_WATERMARK = (
        "AboveWatermark",
        "Senders get the status 0xA700 (out of resources) and should retry later. Fix the destinations that are "
        "behind, or raise gateway.spool.size.",
    )


class SpoolAtRisk(Reason):
    """A claim of the spool is being deleted, is lost, or is unused. Present only while true."""

    CLAIM_TERMINATING = (
        "ClaimTerminating",
        "The claim of the spool is being deleted while instances are still owed. Its volume is removed when its pod "
        "next stops. Keep the volume and let the route deliver: see docs/runbooks/spool-claim.md.",
    )
    CLAIM_LOST = (
        "ClaimLost",
        "The volume of the spool is gone, and the instances that were not yet delivered are gone with it. Restore the "
        "volume, or delete the claim: see docs/runbooks/spool-claim.md.",
    )
    CLAIM_LEFT_OVER = (
        "ClaimLeftOver",
        "A claim belongs to a pod that the route no longer has. The claim may still contain instances: see "
        "docs/runbooks/spool-claim.md.",
    )


class SpoolResizing(Reason):
    """The volume of the spool does not have the size in the manifest. Present only while true."""

    RESIZE_PENDING = (
        "ResizePending",
        "The volume is waiting to be resized. Some storage resizes a volume only while no pod uses it.",
    )
    FILE_SYSTEM_RESIZE_PENDING = (
        "FileSystemResizePending",
        "The volume has grown. Its file system grows at the next start of the pod. Restart the pod.",
    )
    RESIZE_FAILED = (
        "ResizeFailed",
        "The storage could not resize the volume. The message is the storage's own. The storage retries.",
    )
    CANNOT_GROW = (
        "CannotGrow",
        "The storage class does not allow expansion. Set gateway.spool.size back to the size of the claim. The rest "
        "of the manifest is in effect.",
    )


class AddressPending(Reason):
    """The Service has no address that modalities can connect to. Present only while true."""

    NO_LOAD_BALANCER_ADDRESS = (
        "NoLoadBalancerAddress",
        "The Service has no address: the cluster has no load balancer, no address is free, or the requested address "
        "is in use. The message is the cluster's own. Another gateway.service.type needs no such address.",
    )

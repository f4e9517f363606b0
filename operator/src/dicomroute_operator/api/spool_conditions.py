"""Reasons of conditions on what a cluster gives to a route: its spool, its claims, its address."""

from .reason import Reason


class SpoolPressure(Reason):
    """The spool is fuller than its watermark, or will be within a day. Present only while true."""

    FILLING = (
        "Filling",
        "The spool fills faster than it drains, and will be at its watermark within a day if that goes on: the message "
        "says when. Mend the destinations that are behind, or let it grow with gateway.spool.size.",
    )

    ABOVE_WATERMARK = (
        "AboveWatermark",
        "Senders are answered 0xA700, out of resources, and try again later: mend the destinations that hold the "
        "spool full, or let it grow with gateway.spool.size.",
    )


class SpoolAtRisk(Reason):
    """A claim of the spool is in danger, or nobody's. Present only while true."""

    CLAIM_TERMINATING = (
        "ClaimTerminating",
        "The claim of the spool is being deleted while instances are owed, and its volume goes with the next end of "
        "its pod: keep the volume and let the route deliver. See docs/runbooks/spool-claim.md.",
    )
    CLAIM_LOST = (
        "ClaimLost",
        "The volume of the spool is gone, and with it what was not yet delivered: restore it, or delete the claim. See "
        "docs/runbooks/spool-claim.md.",
    )
    CLAIM_LEFT_OVER = (
        "ClaimLeftOver",
        "A claim belongs to a pod that the route no longer has, and may hold instances: see "
        "docs/runbooks/spool-claim.md.",
    )


class SpoolResizing(Reason):
    """The volume of the spool does not have the size that the manifest says. Present only while true."""

    RESIZE_PENDING = ("ResizePending", "The storage is to grow the volume: some do so only while no pod uses it.")
    FILE_SYSTEM_RESIZE_PENDING = (
        "FileSystemResizePending",
        "The volume has grown, and its file system grows when the pod starts next: restart it.",
    )
    RESIZE_FAILED = ("ResizeFailed", "The storage could not grow the volume: the message is its own. It tries again.")
    CANNOT_GROW = (
        "CannotGrow",
        "The storage class does not let the claim grow: set gateway.spool.size back to what the claim has. All else of "
        "the manifest is in effect.",
    )


class AddressPending(Reason):
    """Modalities have no address to connect to. Present only while true."""

    NO_LOAD_BALANCER_ADDRESS = (
        "NoLoadBalancerAddress",
        "Nothing has given the Service an address: the cluster has no load balancers, none of the class is free, or "
        "the address that is asked for is taken. The message has the cluster's own sentence. Another "
        "gateway.service.type needs none.",
    )

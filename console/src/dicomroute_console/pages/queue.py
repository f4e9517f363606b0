"""The queue of a route: the filter is the selection, what is meant is counted first, each decision has a right."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from dicomroute_client import calls
from dicomroute_client.calls import Operation
from dicomroute_client.documents.queue import QueueChange, QueueDocument, QueueItem, QueueState
from dicomroute_console import audit
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import NotAllowed, Right

from .asking import Console, Me, Said, ask_one, ask_route, console_of, needs
from .model import counts
from .rendering import page

router = APIRouter()
_SHOWN: Final = 100
_COUNTED: Final = 1000
RIGHTS: Final = {one: Right.DROP if one.gives_up else Right.CHANGE_QUEUE for one in Operation}
_NO_WAY_BACK: Final = "The instances are removed from the spool. This cannot be undone."
_STATES: Final = (QueueState.PENDING, QueueState.HELD, QueueState.DEAD_LETTERED, QueueState.SKIPPED)


@dataclass(frozen=True)
class Filter:
    """Which deliveries are meant: those that fit all that is not empty. It stands in the address of a page."""

    state: Annotated[str, Query(max_length=32)] = ""
    destination: Annotated[str, Query(max_length=320)] = ""
    reason: Annotated[str, Query(max_length=128)] = ""
    study: Annotated[str, Query(max_length=64)] = ""
    gateway: Annotated[str, Query(max_length=64)] = ""
    """With an instance: the address of the gateway that knows it by this number."""
    instance: Annotated[int, Query(ge=0)] = 0

    @property
    def given(self) -> dict[str, Any]:
        """What is not empty, by the names of the API."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def narrowed(self) -> dict[str, Any]:
        """What the API is told beside the instance."""
        return {name: value for name, value in self.given.items() if name not in ("gateway", "instance")}

    def fits(self, item: QueueItem) -> bool:
        """Return whether a delivery of the instance is meant."""
        return (
            self.state in ("", item.state)
            and self.destination in ("", item.destination)
            and self.reason in ("", item.reason)
        )

    def call(self, limit: int) -> calls.Call[QueueDocument]:
        """Return the question for what is meant."""
        return calls.queue(limit=limit, **self.narrowed)

    def selection(self) -> dict[str, Any]:
        """Return what an operation is about, for one gateway."""
        chosen: dict[str, Any] = {"instances": [self.instance]} if self.instance else {"all": True}
        return {**chosen, **self.narrowed}

    def address(self, base: str) -> str:
        """Return the address of a page with this filter."""
        return f"{base}?{urlencode(self.given)}" if self.given else base


Meant = Annotated[Filter, Depends()]


@router.get("/routes/{namespace}/{name}/queue", dependencies=[Depends(needs(Right.SEE_QUEUE))])
async def show(request: Request, namespace: str, name: str, me: Me, meant: Meant) -> Response:
    """List deliveries, oldest first, and count them."""
    console = console_of(request)
    answers = await ask_route(console, me, namespace, name, meant.call(_COUNTED))
    may = {one: await console.source.may(me, right, namespace, name) for one, right in RIGHTS.items()}
    return page(
        request,
        "queue.html",
        me,
        namespace=namespace,
        name=name,
        meant=meant,
        states=_STATES,
        shown=_SHOWN,
        answers=[(one, counts(one.document.items if one.document else ())) for one in answers],
        operations=[one for one, allowed in may.items() if allowed],
        address=meant.address,
    )


@router.get(
    "/routes/{namespace}/{name}/gateways/{host}/instances/{instance}", dependencies=[Depends(needs(Right.SEE_QUEUE))]
)
async def instance(request: Request, namespace: str, name: str, host: str, instance: int, me: Me) -> Response:
    """Show all that is known of an instance in the spool."""
    console = console_of(request)
    found = await ask_one(console, me, namespace, name, host, calls.instance(instance))
    may = [one for one, right in RIGHTS.items() if await console.source.may(me, right, namespace, name)]
    return page(request, "instance.html", me, namespace=namespace, name=name, host=host, one=found, operations=may)


def _confirming(operation: Operation) -> Callable[..., Awaitable[Response]]:
    async def confirm(request: Request, namespace: str, name: str, me: Me, meant: Meant) -> Response:
        """Say how many deliveries are meant, before anything is done."""
        console = console_of(request)
        if meant.instance:
            one = await ask_one(console, me, namespace, name, meant.gateway, calls.instance(meant.instance))
            items: list[QueueItem] = [item for item in one.deliveries if meant.fits(item)]
            answers = [Said(namespace, name, meant.gateway, QueueDocument(items=items, truncated=False))]
        else:
            answers = await ask_route(console, me, namespace, name, meant.call(_COUNTED))
        chosen = [(one, counts(one.document.items if one.document else ())) for one in answers]
        return page(
            request,
            "confirm.html",
            me,
            namespace=namespace,
            name=name,
            meant=meant,
            operation=operation,
            sentence=f"{operation.summary} {_NO_WAY_BACK}" if operation.gives_up else operation.summary,
            answers=chosen,
        )

    return confirm


def _deciding(operation: Operation) -> Callable[..., Awaitable[Response]]:
    async def decide(
        request: Request,
        namespace: str,
        name: str,
        me: Me,
        meant: Meant,
        why: Annotated[str, Form(max_length=500)] = "",
    ) -> Response:
        """Carry a decision out at the gateways, and say what that changed."""
        changed = await decided(console_of(request), me, (namespace, name), operation, meant, why)
        return page(
            request, "done.html", me, namespace=namespace, name=name, operation=operation, meant=meant, changed=changed
        )

    return decide


async def decided(
    console: Console, me: Person, route: tuple[str, str], operation: Operation, meant: Filter, why: str
) -> list[tuple[str, QueueChange | None, str]]:
    """Carry a decision out at the gateways of a route; return each one's address and answer, or why it has none."""
    if operation.gives_up and not why.strip():
        raise NotAllowed("say why these are given up: the reason is kept in the console's log")
    call = calls.change(operation, meant.selection())
    changed: list[tuple[str, QueueChange | None, str]]
    if meant.instance:
        changed = [(meant.gateway, await ask_one(console, me, *route, meant.gateway, call), "")]
    else:
        answers = await ask_route(console, me, *route, call)
        changed = [(one.host, one.document, one.problem) for one in answers]
    told = {name: value if name != "study" else "one" for name, value in meant.given.items()}
    audit.done(
        me,
        f"queue.{operation}",
        route="/".join(route),
        changed=sum(document.changed for _, document, _ in changed if document),
        problems=[problem for _, _, problem in changed if problem],
        why=why.strip(),
        **told,
    )
    return changed


for _operation, _right in RIGHTS.items():
    _path = f"/routes/{{namespace}}/{{name}}/queue/{_operation}"
    router.get(_path, dependencies=[Depends(needs(_right))])(_confirming(_operation))
    router.post(_path, dependencies=[Depends(needs(_right))])(_deciding(_operation))

"""Examines manifests as a whole: the operator's checks of each object, and the gateway's compiler of rules."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from dicomroute_gateway.configuration.recipe import Change, Transform
from dicomroute_gateway.rules.changes import compile_transform
from dicomroute_gateway.rules.expression import ExpressionError, compile_expression
from dicomroute_gateway.rules.study import compile_condition
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.reason import Reason
from dicomroute_operator.api.route import Rule
from dicomroute_operator.checks.finding import Finding as Check
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.gather.route import gather_route
from dicomroute_operator.kinds.listed import KINDS
from dicomroute_operator.render.steps import steps

from .manifests.read import ManifestFinding
from .manifests.world import Key, ManifestWorld

_KINDS_NOT_FOUND: Final[Mapping[Reason, str]] = {
    one.not_found: name for name, one in KINDS.items() if one.not_found is not None
}


def inputs_of(world: ManifestWorld, key: Key) -> RouteInputs:
    """Return the inputs of a route, Secrets included: on this machine they are in the files."""
    secrets = {where: frozenset(values) for where, values in world.secrets.items()}
    config_maps = {where: frozenset(values) for where, values in world.config_maps.items()}
    return gather_route(
        world.routes[key],
        world.nodes.values(),
        world.targets.values(),
        secrets,
        config_maps=config_maps,
        profiles=world.profiles.values(),
    )


def examine(world: ManifestWorld) -> list[ManifestFinding]:
    """Return everything that is wrong with the manifests, and what somebody should look at."""
    findings = list(world.findings)
    for name, kind in KINDS.items():
        for (namespace, _), resource in world.objects[name].items():
            checks = kind.findings(resource) if kind.findings is not None else ()
            findings += [_shown(world, namespace, one) for one in checks if one.is_fault or one.is_warning]
    for key in world.routes:
        checks = [one for one in check_route(inputs_of(world, key)) if not _is_there_and_invalid(world, key[0], one)]
        findings += [_shown(world, key[0], one) for one in checks if one.is_fault or one.is_warning]
        findings += _rule_findings(world, key)
    return findings


def _rule_findings(world: ManifestWorld, key: Key) -> list[ManifestFinding]:
    route = world.routes[key]
    file = world.file_of(key[0], "DicomRoute", key[1])
    findings = []
    for rule in route.spec.rules:
        for field, check in _parts(rule, inputs_of(world, key)):
            try:
                check()
            except ExpressionError as error:
                where = f"spec.rules[{rule.name}].{field}"
                findings.append(ManifestFinding(file, f"DicomRoute/{key[1]}", where, f"RuleInvalid: {error}"))
    return findings


def _parts(rule: Rule, inputs: RouteInputs) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the fields of a rule that the gateway compiles, each with what raises ExpressionError where it cannot."""
    if rule.when:
        yield "when", partial(compile_expression, rule.when)
    if rule.when_complete:
        yield "whenComplete", partial(compile_condition, rule.when_complete)
    for step in steps(rule, inputs):
        for index, change in enumerate(step.get("changes", ())):
            one = Transform(changes=(Change.model_validate(change),))
            yield f"transform[{index}]", partial(compile_transform, one)


def _is_there_and_invalid(world: ManifestWorld, namespace: str, finding: Check) -> bool:
    """Return whether what is not found is in the files, and was refused: its own findings say what to do."""
    kind = _KINDS_NOT_FOUND.get(finding.reason)
    return kind is not None and (namespace, kind, finding.field.rpartition("[")[2].rstrip("]")) in world.invalid


def _shown(world: ManifestWorld, namespace: str, finding: Check) -> ManifestFinding:
    return ManifestFinding(
        world.file_of(namespace, finding.kind, finding.name),
        f"{finding.kind}/{finding.name}",
        finding.field,
        f"{finding.reason}: {finding.message}",
        is_error=finding.is_fault,
    )

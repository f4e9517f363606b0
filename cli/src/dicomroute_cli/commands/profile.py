"""`dicomroute profile`: writes what a de-identification profile claims, as a conformance statement has it."""

from typing import Annotated

import typer

from dicomroute_cli.manifests.world import load_world
from dicomroute_cli.output import Failure, print_error
from dicomroute_gateway.configuration.profile import Profile
from dicomroute_gateway.prepare.deidentify.plan import resolve
from dicomroute_gateway.prepare.deidentify.pseudonyms import LEAST_KEY_BYTES
from dicomroute_gateway.prepare.deidentify.statement import claims, lines
from dicomroute_operator.render.profile import render_profile

from .options import Manifests


def profile(
    filename: Manifests,
    name: Annotated[str, typer.Argument(metavar="NAME", help="DeidentificationProfile in the manifests.")],
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Namespace of the profile.")] = "default",
) -> None:
    """Write what a profile claims and does with each attribute, in Markdown, as PS3.2 N.11.2.6 has it.

    It needs no key, and the document has none.
    """
    world = load_world(filename)
    for one in world.findings:
        print_error(str(one))
    found = world.profiles.get((namespace, name))
    if found is None:
        names = ", ".join(sorted(one for where, one in world.profiles if where == namespace)) or "none"
        raise Failure(f"there is no DeidentificationProfile {name} in namespace {namespace}: there is {names}", 2)
    plan = resolve(Profile.model_validate(render_profile(found)), bytes(LEAST_KEY_BYTES))
    print(f"# De-identification: {name}\n")
    print(f"PS3.15 annex E, edition {plan.profile.edition}.\n")
    print("| code (DCM) | meaning |\n|---|---|")
    for code, meaning in claims(plan):
        print(f"| {code} | {meaning} |")
    print("\nActions are those of PS3.15 table E.1-1a; of compound ones the first that the attribute's Type allows.")
    print("Attributes that are not listed: docs/deidentification.md.\n")
    print("| tag | attribute | action | said by |\n|---|---|---|---|")
    for line in lines(plan):
        print(f"| {line.tag} | {line.name} | {line.action} | {'a rule' if line.by_rule else 'table and options'} |")
    for rule in plan.profile.objects:
        print(f"\nObjects, rule {rule.name}: {rule.action}.", end="")
    print()

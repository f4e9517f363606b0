"""The files of Secrets and ConfigMaps that a gateway has mounted, made from manifests."""

from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.render.names import mounted_file

from .world import ManifestWorld


def mounted_files(world: ManifestWorld, inputs: RouteInputs) -> dict[str, dict[str, bytes]]:
    """Return the files that a gateway of this route would have mounted, by folder and key."""
    wanted: dict[str, dict[str, bytes]] = {}
    for needed in inputs.files():
        store = world.secrets if needed.kind == "Secret" else world.config_maps
        value = store.get((inputs.route.metadata.namespace, needed.name), {}).get(needed.key)
        if value is not None:
            folder, _, key = mounted_file(needed.kind, needed.name, needed.key).partition("/")
            wanted.setdefault(folder, {})[key] = value
    return wanted

"""What a cloud brings to a cluster, for the embedded one: volumes of the size that a claim asks for, each a file system
of its own, and addresses for Services of type LoadBalancer.
"""

import argparse
import ipaddress
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import kubernetes

PROVISIONER = "loop.dicomroute.dev"
SHARING = "metallb.io/allow-shared-ip"
Object = dict[str, Any]


class Cloud:
    """Looks at the claims, volumes and Services again and again, and does what is missing."""

    def __init__(
        self,
        api: kubernetes.client.CoreV1Api,
        storage: kubernetes.client.StorageV1Api,
        volumes: Path,
        balancers: list[str],
        node: str,
    ) -> None:
        self.api = api
        self.storage = storage
        self.volumes = volumes
        self.balancers = balancers
        self.node = node

    def look(self) -> None:
        classes = {
            one.metadata.name for one in self.storage.list_storage_class().items if one.provisioner == PROVISIONER
        }
        volumes = {one.metadata.name: one for one in self.api.list_persistent_volume().items}
        for claim in self.api.list_persistent_volume_claim_for_all_namespaces().items:
            name = f"pvc-{claim.metadata.uid}"
            chosen = (claim.metadata.annotations or {}).get("volume.kubernetes.io/selected-node")
            if claim.spec.storage_class_name in classes and chosen and name not in volumes:
                self.provision(claim, name)
            elif name in volumes and claim.status.capacity:
                self.grow(claim, volumes[name])
        for name, volume in volumes.items():
            ours = (volume.metadata.annotations or {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER
            if ours and volume.status.phase == "Released":
                self.delete(name)
        self.give_addresses()

    def provision(self, claim: Any, name: str) -> None:
        size = claim.spec.resources.requests["storage"]
        image, folder = self.volumes / f"{name}.img", self.volumes / name
        with image.open("wb") as file:
            file.truncate(quantity(size))
        run("mkfs.ext4", "-q", "-m", "0", image)
        folder.mkdir(exist_ok=True)
        run("mount", "-o", "loop", image, folder)
        self.api.create_persistent_volume(
            {
                "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
                "spec": {
                    "capacity": {"storage": size},
                    "accessModes": claim.spec.access_modes,
                    "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": claim.spec.storage_class_name,
                    "local": {"path": str(folder)},
                    "claimRef": {
                        "apiVersion": "v1",
                        "kind": "PersistentVolumeClaim",
                        "namespace": claim.metadata.namespace,
                        "name": claim.metadata.name,
                        "uid": claim.metadata.uid,
                    },
                    "nodeAffinity": {
                        "required": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "kubernetes.io/hostname", "operator": "In", "values": [self.node]}
                                    ]
                                }
                            ]
                        }
                    },
                },
            }
        )
        say(f"made {name} of {size} for {claim.metadata.namespace}/{claim.metadata.name}")

    def grow(self, claim: Any, volume: Any) -> None:
        """Grow a volume that nobody has mounted, as clouds without online growth do."""
        wanted = claim.spec.resources.requests["storage"]
        name = volume.metadata.name
        if quantity(wanted) <= quantity(volume.spec.capacity["storage"]):
            return
        image, folder = self.volumes / f"{name}.img", self.volumes / name
        found = subprocess.run(["losetup", "-j", image, "-n", "-O", "NAME"], capture_output=True, text=True, check=True)
        device = found.stdout.strip()
        mounts = Path("/proc/mounts").read_text().splitlines()
        if sum(line.startswith(f"{device} ") for line in mounts) > 1:
            return  # a pod has it
        run("umount", folder)
        with image.open("r+b") as file:
            file.truncate(quantity(wanted))
        run("e2fsck", "-f", "-p", image)
        run("resize2fs", image)
        run("mount", "-o", "loop", image, folder)
        self.api.patch_persistent_volume(name, {"spec": {"capacity": {"storage": wanted}}})
        self.api.patch_namespaced_persistent_volume_claim_status(
            claim.metadata.name, claim.metadata.namespace, {"status": {"capacity": {"storage": wanted}}}
        )
        say(f"grew {name} to {wanted}")

    def delete(self, name: str) -> None:
        folder = self.volumes / name
        if folder.is_mount():
            run("umount", folder)
        folder.rmdir()
        (self.volumes / f"{name}.img").unlink()
        self.api.delete_persistent_volume(name)
        say(f"deleted {name}")

    def give_addresses(self) -> None:
        services = [one for one in self.api.list_service_for_all_namespaces().items if one.spec.type == "LoadBalancer"]
        given: dict[str, list[Any]] = {}
        for service in services:
            for one in service.status.load_balancer.ingress or []:
                given.setdefault(one.ip, []).append(service)
        for service in services:
            if service.status.load_balancer.ingress:
                continue
            wanted = service.spec.load_balancer_ip
            address = wanted if wanted else next(one for one in self.balancers if one not in given)
            if not all(may_share(service, other) for other in given.get(address, [])):
                continue  # a cloud refuses it too
            given.setdefault(address, []).append(service)
            self.api.patch_namespaced_service_status(
                service.metadata.name,
                service.metadata.namespace,
                {"status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}},
            )
            say(f"gave {address} to {service.metadata.namespace}/{service.metadata.name}")


def may_share(one: Any, other: Any) -> bool:
    """Whether two Services may have one address, by the rules of MetalLB."""
    keys = [(service.metadata.annotations or {}).get(SHARING) for service in (one, other)]
    ports = [{port.port for port in service.spec.ports} for service in (one, other)]
    policies = {service.spec.external_traffic_policy for service in (one, other)}
    return bool(keys[0] and keys[0] == keys[1] and not ports[0] & ports[1] and policies == {"Cluster"})


def quantity(text: str) -> int:
    for suffix, factor in (("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40)):
        if text.endswith(suffix):
            return int(float(text.removesuffix(suffix)) * factor)
    return int(text)


def run(*words: Any) -> None:
    subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL)


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--volumes", type=Path, required=True)
    parser.add_argument("--balancer-range", type=ipaddress.ip_network, required=True)
    parser.add_argument("--node", required=True)
    arguments = parser.parse_args()
    kubernetes.config.load_kube_config(arguments.kubeconfig)
    balancers = [str(one) for one in arguments.balancer_range.hosts()]
    storage = kubernetes.client.StorageV1Api()
    cloud = Cloud(kubernetes.client.CoreV1Api(), storage, arguments.volumes, balancers, arguments.node)
    while True:
        try:
            cloud.look()
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        time.sleep(0.5)


if __name__ == "__main__":
    main()

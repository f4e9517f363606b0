"""Manifests at the boundaries of every rule: what is accepted, and with which sentence the rest is refused.

The same table is held against a real kube-apiserver and against `dicomroute validate`.
"""

from dataclasses import dataclass
from typing import Any

from auths import MEMBERS, auth
from manifests import BASES, REMOVED, Json, changed

LISTENER = "spec.listeners.0"
GATEWAY = "spec.gateway"
KEYS = {"name": "spool-key", "key": "keys"}
BASIC = {"username": "u", "passwordSecretRef": {"name": "archive", "key": "password"}}


@dataclass(frozen=True)
class Case:
    """A change to the smallest manifest of a kind. `refused` is a part of the sentence; "" means accepted."""

    kind: str
    path: str
    value: Any
    refused: str = ""

    @property
    def document(self) -> Json:
        return changed(BASES[self.kind](), self.path, self.value)

    @property
    def label(self) -> str:
        shown = "absent" if self.value is REMOVED else repr(self.value)
        return f"{self.kind} {self.path}={shown[:60]}"


def _table(kind: str, path: str, accepted: list[Any], refused: list[Any], sentence: str) -> list[Case]:
    return [Case(kind, path, value) for value in accepted] + [Case(kind, path, value, sentence) for value in refused]


def _listener(name: str, port: int, **fields: Any) -> Json:
    return {"name": name, "port": port, "aeTitles": ["A"], "sources": {"policy": "Any"}, **fields}


def _azure(url: str = "https://a.example/v2", **fields: Any) -> Json:
    return {"url": url, "auth": {"type": "None"}, "provider": "Azure", **fields}


def _to_pacs(calling: str) -> Json:
    pacs = {"kind": "DicomNode", "name": "pacs"}
    return {
        "listeners": [_listener("dicom", 11112)],
        "rules": [{"name": "everything", "destinations": [pacs]}],
        "destinations": [{**pacs, "callingAETitle": calling}],
    }


def _queries(**fields: Any) -> Json:
    return {"listeners": ["dicom"], "clients": {"nodes": [{"name": "ct-1"}]}, **fields}


def _window(**fields: Any) -> Json:
    return {"name": "day", "start": "07:00", "end": "19:00", "maxBytesPerSecond": 2048, **fields}


def _attributes(*tags: str) -> Json:
    return {"name": "a", "tags": list(tags), "action": "Keep"}


def _object(action: str, **fields: Any) -> Json:
    return {"name": "a", "action": action, **fields}


REGION = {"left": 0, "top": 0, "width": 10, "height": 10}
ARCHIVE = {"kind": "CloudTarget", "name": "archive"}


def _committing(retention_seconds: int) -> Json:
    return {
        "listeners": [_listener("dicom", 11112)],
        "rules": [{"name": "everything", "destinations": [ARCHIVE]}],
        "storageCommitment": {"listeners": ["dicom"]},
        "ledger": {"retentionSeconds": retention_seconds},
    }


def _bandwidths(accepted: list[Json], refused: list[Json], sentence: str) -> list[Case]:
    def listed(values: list[Json]) -> list[Any]:
        return [[{**ARCHIVE, "bandwidth": value}] for value in values]

    return _table("DicomRoute", "spec.destinations", listed(accepted), listed(refused), sentence)


CHARACTERS = "remove the others"
SPACES = "leave them out"
OBJECT_NAME = "an object's name has lower case letters"

KEY = "a Secret's key may have only letters"
OAUTH2, WORKLOAD, AWS = "OAuth2ClientCredentials", "AzureWorkloadIdentity", "AWSWebIdentity"

AUTHORITIES = {"kind": "ConfigMap", "name": "authorities", "key": "ca.crt"}
IDENTITIES = (WORKLOAD, AWS, "AzureManagedIdentity", "GoogleWorkloadIdentity")

CREDENTIALS: list[tuple[str, str, list[Any], list[Any], str]] = [
    (
        OAUTH2,
        "tokenURL",
        ["https://login.example/realms/r/token", "http://127.0.0.1:8080/token"],
        ["login.example", "https://u:p@login.example/", "https://login.example/?x=1", ""],
        "write the token endpoint",
    ),
    (OAUTH2, "clientID", ["a", "api://a"], ["a b", "ä"], "a client ID has only visible ASCII characters"),
    (OAUTH2, "scopes", [["a", "https://a.example/.default"], []], [["a b"], ['"a"'], ["a\\"]], "a scope is one word"),
    (OAUTH2, "audience", ["", "https://a.example/api v1"], ["ä"], "the value may have only ASCII characters"),
    (OAUTH2, "clientAuthentication", ["Basic", "Post"], ["None"], "Post"),
    (OAUTH2, "parameters", [[{"name": "a", "value": "b c"}]], [[{"name": "a b", "value": ""}]], "a parameter's name"),
    (
        OAUTH2,
        "parameters",
        [],
        [[{"name": name, "value": ""}] for name in ("grant_type", "client_secret", "scope", "resource")],
        "the gateway sets this parameter itself",
    ),
    (OAUTH2, "parameters", [], [[{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]], "a"),
    (WORKLOAD, "tenantID", ["a.onmicrosoft.example", "0-1"], ["", "a/b", "-a"], "a"),
    ("AzureClientSecret", "tenantID", ["t"], ["a/b", "-a"], "write a tenant as"),
    (
        "AzureClientSecret",
        "authorityHost",
        ["https://login.microsoftonline.us", "https://127.0.0.1:8443"],
        ["http://login.example", "login.example", "https://login.example/", "https://login.example/tenant"],
        "write an authority host as",
    ),
    (
        WORKLOAD,
        "authorityHost",
        ["https://login.microsoftonline.com", "https://login.partner.microsoftonline.cn"],
        [
            "https://login.example",
            "https://login.microsoftonline.com:8443",
            "https://login.microsoftonline.com.example",
        ],
        "sent only to Microsoft",
    ),
    *(
        (
            kind,
            "scope",
            ["https://dicom.healthcareapis.azure.com/.default", "https://dicom.healthcareapis.azure.us/.default"],
            ["https://management.azure.com/.default", "https://vault.azure.net/.default"],
            "tokens only for DICOM services",
        )
        for kind in (WORKLOAD, "AzureManagedIdentity")
    ),
    ("AzureClientSecret", "scope", ["https://a.example/.default"], ["a b"], "a scope is one word"),
    (
        "GoogleWorkloadIdentity",
        "serviceAccount",
        ["gateway@project.iam.gserviceaccount.com"],
        ["gateway", "Gateway@project", "a@b/c"],
        "write a service account as its address",
    ),
    (AWS, "region", ["eu-central-1", "us-gov-west-1"], ["EU", "eu", "eu/central"], "write a region"),
    (
        AWS,
        "roleARN",
        ["arn:aws:iam::000000000000:role/a/b", "arn:aws-us-gov:iam::000000000000:role/a"],
        ["a", "arn:aws:iam::1:role/a", "arn:aws:iam::000000000000:user/a"],
        "write a role as its ARN",
    ),
    (AWS, "service", ["medical-imaging"], ["Medical Imaging"], "write a service as AWS signs it"),
]
"""Of a member of auth: the type, the field, what is accepted, what is not, and a part of the sentence."""

CASES: list[Case] = [
    # AE titles: PS3.5 6.2, 1 to 16 characters of ISO 646 without backslash and control characters.
    *_table(
        "DicomNode", "spec.aeTitle", ["A", "SIXTEEN_CHARS_16", "a~!#(x)", "CT 1"], ["A\\B", "A\tB", "Ä"], CHARACTERS
    ),
    *_table("DicomNode", "spec.aeTitle", [], [" A", "A ", " "], SPACES),
    Case("DicomNode", "spec.aeTitle", "SEVENTEEN_CHARS_7", "16"),
    Case("DicomNode", "spec.aeTitle", "", "1"),
    *_table("DicomNode", "spec.callingAETitles", [["A", "B"], []], [["A\\"]], CHARACTERS),
    Case("DicomNode", "spec.callingAETitles", ["A", "A"], "A"),
    *_table("DicomRoute", f"{LISTENER}.aeTitles", [["GATE"], ["A", "B"]], [["Ä"]], CHARACTERS),
    Case("DicomRoute", f"{LISTENER}.aeTitles", [], "least 1"),
    # Where a node may call from.
    *_table(
        "DicomNode",
        "spec.allowedSources",
        [["192.0.2.0/24"], ["192.0.2.1/32", "2001:db8::/32"], ["0.0.0.0/0"]],
        [["192.0.2.1"], ["192.0.2.0/33"], ["ct-1.example"], ["192.0.2.0/255.255.255.0"], ["::ffff:192.0.2.0/120"]],
        "write a network in CIDR notation",
    ),
    *_table(
        "DicomNode", "spec.allowedSources", [], [["192.0.2.1/24"], ["2001:db8::1/64"]], "bits set after its prefix"
    ),
    *_table(
        "DicomNode",
        "spec",
        [{"aeTitle": "A", "anyAddress": True}],
        [{"aeTitle": "A"}],
        "set allowedSources to the networks",
    ),
    Case("DicomNode", "spec", {"aeTitle": "A", "anyAddress": False}, "set allowedSources to the networks"),
    Case("DicomNode", "spec.anyAddress", True, "allowedSources has no effect"),
    # What a node shows.
    *_table(
        "DicomNode",
        "spec.certificates",
        [
            [],
            [{"dnsName": "ct-1.example"}, {"commonName": "CT 1"}, {"sha256": "0f" * 32}],
            [{"sha256": ":".join(["A0"] * 32)}],
        ],
        [[{}], [{"dnsName": "a.example", "commonName": "a"}]],
        "set exactly one of dnsName, commonName and sha256",
    ),
    *_table("DicomNode", "spec.certificates", [], [[{"dnsName": "*.example"}]], "without a wildcard"),
    *_table("DicomNode", "spec.certificates", [], [[{"sha256": "0f" * 31}]], "SHA-256 of the certificate"),
    Case("DicomNode", "spec.certificates", [{"dnsName": "a"}] * 5, "4"),
    # Where a node is called.
    *_table(
        "DicomNode",
        "spec",
        [{"aeTitle": "A", "host": "pacs.example"}, {"aeTitle": "A", "host": "192.0.2.9", "anyAddress": True}],
        [],
        "",
    ),
    *_table(
        "DicomNode",
        "spec.host",
        ["pacs", "pacs.hospital.example", "PACS-1.example", "192.0.2.7", "2001:db8::7", "1a.example"],
        [
            "pacs.example:104",
            "-pacs",
            "pacs.",
            "pa cs",
            "192.0.2.256",
            "192.0.2",
            "[2001:db8::7]",
            "https://pacs.example",
            "pacs_1",
        ],
        "write a DNS name",
    ),
    Case("DicomNode", "spec.host", "", "1"),
    *_table("DicomNode", "spec.port", [1, 65535], [0], "1"),
    Case("DicomNode", "spec.port", 65536, "65535"),
    *_table("DicomNode", "spec.acseTimeoutSeconds", [1, 300], [301], "300"),
    *_table("DicomNode", "spec.stallTimeoutSeconds", [1, 3600], [3601], "3600"),
    *_table("DicomNode", "spec.responseTimeoutSeconds", [1, 3600], [3601], "3600"),
    *_table("DicomNode", "spec.connectionTestSeconds", [0, 5, 86400], [1, 4], "write 0 for never"),
    *_table("DicomNode", "spec.connectionTestSeconds", [], [86401], "86400"),
    # Listeners.
    *_table(
        "DicomRoute",
        f"{LISTENER}.name",
        ["dicom", "d", "ct-1", "exactly-15-char"],
        ["1", "CT", "-a", "a-", "a--b"],
        "is used as a port name",
    ),
    Case("DicomRoute", f"{LISTENER}.name", "sixteen-characte", "15"),
    *_table("DicomRoute", f"{LISTENER}.name", [], ["health", "api"], "the gateway's own ports"),
    *_table("DicomRoute", f"{LISTENER}.port", [1024, 65535], [1023], "1024"),
    Case("DicomRoute", f"{LISTENER}.port", 65536, "65535"),
    *_table("DicomRoute", f"{LISTENER}.port", [8081], [8080, 8443], "the gateway's own ports"),
    Case("DicomRoute", "spec.listeners.1", _listener("two", 11113)),
    Case("DicomRoute", "spec.listeners.1", _listener("two", 11112), "two listeners have the same port"),
    Case("DicomRoute", "spec.listeners.1", _listener("dicom", 11113), "dicom"),
    Case("DicomRoute", "spec.listeners", [], "least 1"),
    *_table("DicomRoute", f"{LISTENER}.maxAssociations", [1, 1000], [0], "1"),
    Case("DicomRoute", f"{LISTENER}.maxAssociations", 1001, "1000"),
    *_table(
        "DicomRoute",
        f"{LISTENER}.tls",
        [
            {"certificateRef": {"name": "tls"}, "clientCertificates": "Ignored"},
            {
                "certificateRef": {"name": "tls"},
                "clientCABundleRef": {"kind": "ConfigMap", "name": "c", "key": "k"},
            },
        ],
        [{"certificateRef": {"name": "tls"}}, {"certificateRef": {"name": "tls"}, "clientCertificates": "Optional"}],
        "name the authorities of the callers' certificates",
    ),
    *_table(
        "DicomNode",
        "spec.tls",
        [
            {},
            {"caBundleRef": AUTHORITIES, "clientCertificateRef": {"name": "c"}, "serverName": "pacs.example"},
            {"caBundleRef": AUTHORITIES, "verifyName": "None"},
        ],
        [{"verifyName": "None"}],
        "verifyName: None accepts any certificate",
    ),
    *_table(
        "DicomNode",
        "spec.tls",
        [],
        [{"caBundleRef": AUTHORITIES, "verifyName": "None", "serverName": "pacs.example"}],
        "serverName has no effect",
    ),
    *_table("DicomNode", "spec.tls.profile", ["BCP195RFC9325", "ModifiedBCP195RFC9325"], ["BCP195"], "Modified"),
    *_table("DicomNode", "spec.tls", [], [{"serverName": "a b"}, {"serverName": "-a"}], "write a DNS name"),
    *_table("DicomRoute", f"{LISTENER}.maxAssociationsPerCaller", [1, 1000], [0], "1"),
    *_table("DicomRoute", "spec.gateway.service.loadBalancerSources", ["Nodes", "Anywhere"], ["Nobody"], "Anywhere"),
    *_table("DicomRoute", "spec.gateway.service.ipFamilyPolicy", ["PreferDualStack"], ["Both"], "RequireDualStack"),
    *_table(
        "DicomRoute",
        "spec.gateway.service",
        [{"loadBalancerClass": "metallb.io/metallb"}, {"loadBalancerClass": "internal"}],
        [{"loadBalancerClass": "a b"}, {"loadBalancerClass": "/a"}],
        "a load balancer class is a name",
    ),
    *_table(
        "DicomRoute",
        "spec.gateway.service",
        [{"allocateLoadBalancerNodePorts": False}],
        [{"type": "NodePort", "loadBalancerClass": "a"}, {"type": "ClusterIP", "allocateLoadBalancerNodePorts": True}],
        "need type LoadBalancer",
    ),
    Case(
        "DicomRoute",
        "spec.gateway.service",
        {"allocateLoadBalancerNodePorts": False, "ports": [{"listener": "dicom", "port": 104, "nodePort": 30104}]},
        "nodePort has no effect",
    ),
    *_table(
        "DicomRoute",
        "spec.gateway.podTemplate.spec",
        [
            {"hostAliases": [{"ip": "2001:db8::9", "hostnames": ["pacs.example"]}]},
            {"dnsConfig": {"nameservers": ["192.0.2.53"]}},
            {"topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]},
            {"runtimeClassName": "gvisor"},
        ],
        [{"hostAliases": [{"ip": "pacs", "hostnames": ["a"]}]}, {"dnsConfig": {"nameservers": ["dns.example"]}}],
        "write an IP address",
    ),
    Case(
        "DicomRoute",
        "spec.gateway.podTemplate.spec.topologySpreadConstraints",
        [{"topologyKey": "zone", "whenUnsatisfiable": "Never"}],
        "DoNotSchedule",
    ),
    Case("DicomRoute", "spec.gateway.podTemplate.spec.runtimeClassName", "G Visor", "a name has lower case"),
    *_table("DicomRoute", f"{LISTENER}.maxPDUBytes", [4096, 1048576], [4095], "4096"),
    Case("DicomRoute", f"{LISTENER}.maxPDUBytes", 1048577, "1048576"),
    *_table("DicomRoute", f"{LISTENER}.acseTimeoutSeconds", [1, 300], [301], "300"),
    *_table("DicomRoute", f"{LISTENER}.idleTimeoutSeconds", [1, 86400], [86401], "86400"),
    *_table("DicomRoute", f"{LISTENER}.stallTimeoutSeconds", [1, 3600], [3601], "3600"),
    # Sources.
    *_table(
        "DicomRoute",
        f"{LISTENER}.sources",
        [{"nodes": [{"name": "a"}]}, {"policy": "Nodes", "selector": {"matchLabels": {"a": "b"}}}],
        [{}, {"policy": "Nodes"}, {"nodes": []}],
        "policy Nodes needs nodes or a selector",
    ),
    *_table(
        "DicomRoute",
        f"{LISTENER}.sources",
        [{"policy": "Any"}],
        [{"policy": "Any", "nodes": [{"name": "a"}]}, {"policy": "Any", "selector": {"matchLabels": {"a": "b"}}}],
        "nodes and selector have no effect with policy: Any",
    ),
    Case("DicomRoute", f"{LISTENER}.sources", {"policy": "Some"}, "Nodes"),
    Case("DicomRoute", f"{LISTENER}.sources", {"selector": {"matchLabels": {}}}, "least 1"),
    *_table(
        "DicomRoute",
        f"{LISTENER}.sources.nodes.0.name",
        ["a", "ct-1.north", "1"],
        ["CT1", "-a", "a.", "a_b"],
        OBJECT_NAME,
    ),
    # Rules.
    *_table("DicomRoute", "spec.rules.0.name", ["a", "r-1", "x" * 63], ["A", "-a", "a-"], "a rule's name"),
    Case("DicomRoute", "spec.rules.0.name", "x" * 64, "63"),
    *_table("DicomRoute", "spec.rules.0.when", ["", "instance.Modality == 'CT'", "x" * 2048], ["x" * 2049], "2048"),
    Case("DicomRoute", "spec.rules.0.destinations", [], "least 1"),
    *_table("DicomRoute", "spec.rules.0.destinations.0.kind", ["DicomNode"], ["Modality"], "CloudTarget"),
    *_table("DicomRoute", "spec.rules.0.destinations.0.name", ["azure"], ["Azure"], OBJECT_NAME),
    Case("DicomRoute", "spec.rules.0.destinations.1", {"kind": "CloudTarget", "name": "archive"}, "archive"),
    Case("DicomRoute", "spec.rules", [], "least 1"),
    *_table(
        "DicomRoute",
        "spec.rules.0.transform",
        [
            [],
            [{"set": {"attribute": "IssuerOfPatientID", "value": "'NORTH'"}}, {"remove": {"attribute": "PatientAge"}}],
            [{"replace": {"attribute": "(0009,ACME 1.1,02)", "value": "'x'", "vr": "LO", "record": False}}],
            [{"copy": {"from": "StudyID", "to": "AccessionNumber"}}],
            [{"remove": {"attribute": "PatientAge"}}] * 32,
        ],
        [[{}], [{"remove": {"attribute": "PatientAge"}, "set": {"attribute": "PatientID", "value": "''"}}]],
        "exactly one of set, replace, remove and copy",
    ),
    Case("DicomRoute", "spec.rules.0.transform", [{"remove": {"attribute": "PatientAge"}}] * 33, "32"),
    Case("DicomRoute", "spec.rules.0.transform", [{"remove": {"attribute": ""}}], "least 1"),
    Case("DicomRoute", "spec.rules.0.transform", [{"set": {"attribute": "PatientID", "value": ""}}], "least 1"),
    Case("DicomRoute", "spec.rules.0.transform", [{"copy": {"from": "StudyID"}}], "to"),
    *_table("DicomRoute", "spec.ruleMatching", ["All", "First"], ["Any"], "First"),
    *_table("DicomRoute", "spec.unmatched", ["Hold", "Discard", "Refuse"], ["Drop"], "Hold"),
    *_table("DicomRoute", "spec.mode", ["Running", "HoldDeliveries", "RefuseAssociations"], ["Paused"], "Running"),
    *_table("DicomRoute", f"{LISTENER}.mode", ["Running", "RefuseAssociations"], ["HoldDeliveries"], "Running"),
    *_table("DicomRoute", "spec.rules.0.mode", ["Running", "HoldDeliveries"], ["RefuseAssociations"], "Running"),
    *_table(
        "DicomRoute",
        "spec.destinations",
        [[{**ARCHIVE, "mode": "HoldDeliveries"}], [{**ARCHIVE, "mode": "Running"}]],
        [[{**ARCHIVE, "mode": "RefuseAssociations"}]],
        "Running",
    ),
    # What is particular to destinations, and when senders are answered.
    *_table(
        "DicomRoute",
        "spec.destinations",
        [[], [ARCHIVE], [{**ARCHIVE, "required": False}], [{**ARCHIVE, "required": False, "maxOwed": "1Mi"}]],
        [[{**ARCHIVE, "name": "elsewhere"}]],
        "an entry of destinations is not named by any rule",
    ),
    *_table(
        "DicomRoute",
        "spec.destinations",
        [],
        [[{**ARCHIVE, "maxOwed": "1Gi"}], [{**ARCHIVE, "required": True, "maxOwed": "1Gi"}]],
        "maxOwed needs required: false",
    ),
    *_table(
        "DicomRoute",
        "spec.destinations",
        [],
        [[{**ARCHIVE, "required": False, "maxOwed": one}] for one in ("1023Ki", "a lot", "10")],
        "at least 1Mi",
    ),
    *_table(
        "DicomRoute",
        "spec.destinations",
        [[{**ARCHIVE, "confirm": one}] for one in ({}, {"by": "Answer"}, {"by": "Query", "withinSeconds": 60})],
        [[{**ARCHIVE, "confirm": {"by": "StorageCommitment"}}]],
        "a CloudTarget by Query",
    ),
    *_table(
        "DicomRoute",
        "spec.destinations",
        [],
        [[{**ARCHIVE, "confirm": one}] for one in ({"withinSeconds": 60}, {"by": "Answer", "withinSeconds": 60})],
        "withinSeconds applies only to by: Query",
    ),
    *_table(
        "DicomRoute",
        "spec.destinations",
        [],
        [[{**ARCHIVE, "confirm": {"by": "Query", "withinSeconds": 59}}]],
        "60",
    ),
    *_table(
        "DicomRoute",
        "spec.storageCommitment",
        [
            {"listeners": ["dicom"]},
            {"listeners": ["dicom"], "destinations": [ARCHIVE], "waitSeconds": 1, "sameAssociationSeconds": 0},
            {"listeners": ["dicom"], "reportForSeconds": 604800},
        ],
        [{"listeners": ["elsewhere"]}],
        "storageCommitment.listeners names a listener that does not exist",
    ),
    Case("DicomRoute", "spec.storageCommitment", {"listeners": []}, "least 1"),
    Case("DicomRoute", "spec.storageCommitment", {"listeners": ["dicom"], "waitSeconds": 604801}, "604800"),
    Case(
        "DicomRoute",
        "spec.storageCommitment",
        {"listeners": ["dicom"], "destinations": [{**ARCHIVE, "name": "elsewhere"}]},
        "an entry of storageCommitment.destinations is not named by any rule",
    ),
    *_table(
        "DicomRoute",
        "spec",
        [_committing(86_400)],
        [_committing(86_399), _committing(0)],
        "storageCommitment needs a ledger of at least a day",
    ),
    Case("DicomRoute", "spec.destinations", [ARCHIVE, ARCHIVE], "archive"),
    Case("DicomRoute", "spec.destinations", [{**ARCHIVE, "callingAETitle": "GATE"}], "a CloudTarget has no AE title"),
    *_table("DicomRoute", "spec", [_to_pacs("GATE")], [_to_pacs("GÄTE")], CHARACTERS),
    *_bandwidths([{"maxBytesPerSecond": 1024}], [{}, {"timeZone": "UTC"}], "give maxBytesPerSecond"),
    *_bandwidths([{"maxBytesPerSecond": 10**12}], [{"maxBytesPerSecond": 1023}], "1024"),
    *_bandwidths([], [{"maxBytesPerSecond": 10**12 + 1}], "1000000000000"),
    *_bandwidths(
        [{"maxBytesPerSecond": 2048, "timeZone": one} for one in ("Europe/Berlin", "Etc/GMT+5", "UTC")],
        [{"maxBytesPerSecond": 2048, "timeZone": one} for one in ("+01:00", "Europe/", "../etc")],
        "time zone of the IANA database",
    ),
    *_bandwidths(
        [{"windows": [_window()]}, {"windows": [_window(start="22:00", end="06:00", maxBytesPerSecond=0)]}],
        [{"windows": [_window(start=one)]} for one in ("24:00", "7:30", "07:60")],
        "a time of day as HH:MM",
    ),
    *_bandwidths([], [{"windows": [_window(maxBytesPerSecond=1)]}], "at least 1024 bytes per second"),
    *_bandwidths([], [{"windows": [_window(name="Day")]}], "a window's name"),
    *_bandwidths([], [{"windows": [_window(), _window()]}], "day"),
    *_bandwidths([{"windows": [_window(days=["Monday", "Friday"])]}], [], ""),
    *_bandwidths([], [{"windows": [_window(days=["Mon"])]}], "Monday"),
    *_table(
        "DicomRoute",
        "spec.acknowledge",
        [
            {},
            {"when": "OnSpooled"},
            {"when": "OnDelivered", "timeoutSeconds": 3600},
            {"when": "OnDelivered", "destinations": [ARCHIVE]},
        ],
        [{"destinations": [ARCHIVE]}, {"when": "OnSpooled", "destinations": [ARCHIVE]}],
        "destinations applies only to when: OnDelivered",
    ),
    Case("DicomRoute", "spec.acknowledge", {"timeoutSeconds": 60}, "timeoutSeconds applies only to when: OnDelivered"),
    Case("DicomRoute", "spec.acknowledge", {"when": "OnDelivered", "timeoutSeconds": 0}, "1"),
    Case("DicomRoute", "spec.acknowledge", {"when": "OnDelivered", "timeoutSeconds": 3601}, "3600"),
    Case("DicomRoute", "spec.acknowledge", {"when": "Later"}, "OnDelivered"),
    Case(
        "DicomRoute",
        "spec.acknowledge",
        {"when": "OnDelivered", "destinations": [{**ARCHIVE, "name": "elsewhere"}]},
        "an entry of acknowledge.destinations is not named by any rule",
    ),
    # Queries.
    *_table(
        "DicomRoute",
        "spec.queryRetrieve",
        [
            _queries(),
            _queries(mode="Refuse", includeSpool=True),
            _queries(archives=[ARCHIVE], includeSpool=False),
            _queries(archives=[{**ARCHIVE, "required": False}], maxMatches=100_000, maxCandidates=1_000_000),
        ],
        [_queries(includeSpool=False), _queries(archives=[], includeSpool=False)],
        "no archive would answer",
    ),
    *_table(
        "DicomRoute",
        "spec.queryRetrieve",
        [_queries(clients={"selector": {"matchLabels": {"site": "north"}}})],
        [_queries(clients={}), _queries(clients={"nodes": []})],
        "by default, no node may query",
    ),
    Case("DicomRoute", "spec.queryRetrieve", _queries(listeners=["other"]), "a listener that does not exist"),
    Case("DicomRoute", "spec.queryRetrieve", _queries(listeners=[]), "listeners"),
    Case("DicomRoute", "spec.queryRetrieve", _queries(mode="Any"), "Refuse"),
    Case("DicomRoute", "spec.queryRetrieve", _queries(archives=[{"kind": "DicomNode", "name": "pacs"}]), "CloudTarget"),
    Case("DicomRoute", "spec.queryRetrieve", _queries(maxMatches=0), "1"),
    Case("DicomRoute", "spec.queryRetrieve", _queries(archiveTimeoutSeconds=301), "300"),
    *_table(
        "DicomRoute",
        "spec.queryRetrieve",
        [_queries(maxConcurrent={"queries": 64})],
        [_queries(maxConcurrent={"queries": 65})],
        "64",
    ),
    *_table("DicomNode", "spec.relational", ["Negotiated", "Always"], ["Never"], "Always"),
    *_table(
        "DicomNode",
        "spec.defaultCharacterSet",
        ["", "ISO_IR 100", "ISO_IR 13", "ISO_IR 192", "GB18030", "GBK"],
        ["ISO 2022 IR 87", "\\ISO 2022 IR 87", "latin-1", "ISO_IR"],
        "without code extensions",
    ),
    # Retrievals.
    *_table(
        "DicomRoute",
        "spec.queryRetrieve",
        [
            _queries(moveDestinations={"nodes": [{"name": "pacs"}]}, pendingIntervalSeconds=1),
            _queries(moveDestinations={"selector": {"matchLabels": {"site": "north"}}}, pendingIntervalSeconds=5),
        ],
        [_queries(moveDestinations={}), _queries(moveDestinations={"nodes": []})],
        "name the nodes that a C-MOVE may send to",
    ),
    *_table(
        "DicomRoute",
        "spec.queryRetrieve",
        [_queries(maxConcurrent={"retrievals": one}) for one in (1, 32)],
        [_queries(maxConcurrent={"retrievals": 33})],
        "32",
    ),
    Case("DicomRoute", "spec.queryRetrieve", _queries(pendingIntervalSeconds=6), "5"),
    # The ledger.
    *_table("DicomRoute", "spec.ledger.retentionSeconds", [0, 86_400, 315_360_000], [315_360_001], "315360000"),
    Case("DicomRoute", "spec.ledger.retentionSeconds", -1, "0"),
    # The feed of events.
    *_table("DicomRoute", "spec.events.retentionSeconds", [3600, 31_536_000], [31_536_001], "31536000"),
    Case("DicomRoute", "spec.events.retentionSeconds", 3599, "3600"),
    *_table("DicomRoute", "spec.events.maxBytes", [1_048_576, 17_179_869_184], [17_179_869_185], "17179869184"),
    Case("DicomRoute", "spec.events.maxBytes", 1_048_575, "1048576"),
    *_table("DicomRoute", "spec.events.studyQuietSeconds", [1, 86_400], [86_401], "86400"),
    Case("DicomRoute", "spec.events.studyQuietSeconds", 0, "1"),
    # Retries.
    *_table(
        "DicomRoute",
        "spec.retry",
        [{}, {"initialBackoffSeconds": 300}, {"initialBackoffSeconds": 5, "maxBackoffSeconds": 5}],
        [{"initialBackoffSeconds": 301}, {"maxBackoffSeconds": 1, "initialBackoffSeconds": 2}],
        "initialBackoffSeconds is greater than maxBackoffSeconds",
    ),
    *_table("DicomRoute", "spec.retry.contentAttempts", [1, 100], [0], "1"),
    # The gateway.
    *_table("DicomRoute", f"{GATEWAY}.replicas", [0, 1], [2], "would leave its spool without a gateway"),
    Case("DicomRoute", f"{GATEWAY}.replicas", -1, "0"),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.service.type",
        ["LoadBalancer", "NodePort", "ClusterIP"],
        ["ExternalName"],
        "ClusterIP",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.service.loadBalancerIP",
        ["", "203.0.113.7", "2001:db8::7"],
        ["203.0.113", "x"],
        "write an IP address",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.service",
        [{"type": "LoadBalancer", "loadBalancerIP": "203.0.113.7"}, {"type": "ClusterIP", "loadBalancerIP": ""}],
        [{"type": "ClusterIP", "loadBalancerIP": "203.0.113.7"}],
        "loadBalancerIP needs type LoadBalancer",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.service.ports",
        [[{"listener": "dicom", "port": 104}], []],
        [[{"listener": "dicom", "port": 104}, {"listener": "other", "port": 104}]],
        "two listeners are published on one port",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.service",
        [{"type": "NodePort", "ports": [{"listener": "dicom", "port": 104, "nodePort": 30104}]}],
        [{"type": "ClusterIP", "ports": [{"listener": "dicom", "port": 104, "nodePort": 30104}]}],
        "nodePort needs type NodePort or LoadBalancer",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.service.ports",
        [],
        [
            [
                {"listener": "dicom", "port": 104, "nodePort": 30104},
                {"listener": "other", "port": 105, "nodePort": 30104},
            ]
        ],
        "two listeners have the same nodePort",
    ),
    *_table("DicomRoute", f"{GATEWAY}.service.ports", [], [[{"listener": "dicom", "port": 104, "nodePort": 0}]], "1"),
    *_table("DicomRoute", f"{GATEWAY}.networkPolicy", ["Enabled", "IngressOnly", "Disabled"], ["Off"], "IngressOnly"),
    *_table("DicomRoute", f"{GATEWAY}.spool.adopt", [True, False], ["yes"], "boolean"),
    Case(
        "DicomRoute",
        f"{GATEWAY}.service.ports",
        [{"listener": "other", "port": 104}],
        "names a listener that does not exist",
    ),
    *_table("DicomRoute", f"{GATEWAY}.service.ports", [], [[{"listener": "dicom", "port": 0}]], "1"),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.spool.size",
        ["1Mi", "500M", "1.5Ti", "1048576"],
        ["1023Ki", "50", "0", "", "10GB", "-1Gi", "many"],
        "at least 1Mi",
    ),
    *_table("DicomRoute", f"{GATEWAY}.spool.highWatermarkPercent", [1, 99], [100], "99"),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.spool.encryption",
        [{"keySecretRef": KEYS}, {"mode": "DecryptOnly", "keySecretRef": KEYS}],
        [{}, {"mode": "Enabled"}],
        "keySecretRef",
    ),
    Case("DicomRoute", f"{GATEWAY}.spool.encryption", {"mode": "Off", "keySecretRef": KEYS}, "DecryptOnly"),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.spool.encryption.keySecretRef",
        [KEYS],
        [{"name": "Spool", "key": "keys"}],
        OBJECT_NAME,
    ),
    Case(
        "DicomRoute", f"{GATEWAY}.spool.encryption.keySecretRef", {"name": "spool-key", "key": "a/b"}, "a Secret's key"
    ),
    *_table("DicomRoute", f"{GATEWAY}.drainTimeoutSeconds", [0, 3600], [3601], "3600"),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.podTemplate.metadata.labels",
        [{"team": "pacs"}, {"example.com/team": "x"}],
        [{"dicomroute.dev/route": "x"}, {"app.kubernetes.io/name": "x"}],
        "the operator uses labels of",
    ),
    Case("DicomRoute", f"{GATEWAY}.podTemplate.spec", {"hostNetwork": True}, "hostNetwork"),
    Case("DicomRoute", f"{GATEWAY}.resources", {"limits": {"cpu": 2, "memory": "1Gi"}}),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.podTemplate.spec.imagePullSecrets",
        [[{"name": "pull"}]],
        [[{"name": "Pull"}]],
        OBJECT_NAME,
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.spool.storageClassName",
        ["fast", "fast.example"],
        ["Fast", "-fast"],
        "a name has lower case letters",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.resources.limits",
        [{"cpu": 2, "memory": "1Gi"}, {"cpu": "500m"}, {"cpu": "0"}],
        [{"cpu": "lots"}, {"cpu": -1}, {"cpu": "-1"}],
        "an amount is a quantity of zero or more",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.image",
        ["", "registry.example:5000/a/b:1.0", "a@sha256:ab"],
        ["A B", "-a"],
        "write an image as",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.podTemplate.metadata.labels",
        [],
        [{"a b": "x"}, {"a/b/c": "x"}],
        "a key is a name of letters",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.podTemplate.metadata.labels",
        [{"a": ""}],
        [{"a": "x y"}, {"a": "-x"}],
        "a label's value has",
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.podTemplate.spec.tolerations",
        [
            [{"key": "a", "value": "b"}],
            [{"operator": "Exists"}],
            [{"key": "a", "effect": "NoExecute", "tolerationSeconds": 5}],
        ],
        [[{"key": "a", "operator": "Exists", "value": "b"}]],
        "a toleration with operator Exists has no value",
    ),
    *_table(
        "DicomRoute", f"{GATEWAY}.podTemplate.spec.tolerations", [], [[{"value": "b"}], [{}]], "tolerates every taint"
    ),
    *_table(
        "DicomRoute",
        f"{GATEWAY}.podTemplate.spec.tolerations",
        [],
        [[{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]],
        "tolerationSeconds needs effect NoExecute",
    ),
    Case("DicomRoute", f"{GATEWAY}.podTemplate.spec.affinity", {"nodeAffinity": {"anything": 1}}),
    Case("DicomRoute", f"{GATEWAY}.podTemplate.spec.affinity", {"nodeAfinity": {}}, "nodeAfinity"),
    # Names.
    *_table(
        "DicomRoute",
        "metadata.name",
        ["a", "a" * 45, "ct-2"],
        ["a" * 46, "1ct", "ct.north"],
        "the name of a route has at most 45",
    ),
    # Targets.
    *_table(
        "CloudTarget",
        "spec.url",
        [
            "https://a.example",
            "http://127.0.0.1:8042/dicom-web",
            "https://a.example/v2/partitions/x/",
            "https://[2001:db8::7]:8443/dicom-web",
        ],
        [
            "a.example",
            "ftp://a.example",
            "https://",
            "https://u:p@a.example",
            "https://a.example/?x=1",
            "https://a.example/a b",
            "https://[2001:db8::7/x",
            "https://a.example:99999/",
            "https://ex\u2100mple/",
            "",
        ],
        "write the base URL of the DICOMweb service",
    ),
    *_table(
        "CloudTarget",
        "spec.url",
        [],
        ["https://a.example/dicom-web/studies", "https://a.example/studies/"],
        "leave /studies out",
    ),
    *_table(
        "CloudTarget",
        "spec.auth",
        [{"type": "None"}, *(auth(type_) for type_ in MEMBERS)],
        [
            {"type": "None", "basic": BASIC},
            *({"type": type_} for type_ in MEMBERS),
            *({**auth(type_), "type": "None"} for type_ in MEMBERS),
            {**auth("Bearer"), "basic": BASIC},
        ],
        "give exactly the field of the type",
    ),
    Case("CloudTarget", "spec.auth", {"type": "Kerberos"}, "Basic"),
    Case("CloudTarget", "spec.auth", {"type": "Basic", "basic": {**BASIC, "username": "a:b"}}, "no colon"),
    Case("CloudTarget", "spec.auth", {"type": "Basic", "basic": {"username": "u"}}, "passwordSecretRef"),
    *_table(
        "CloudTarget",
        "spec.auth",
        [],
        [
            {"type": "Basic", "basic": {"username": "u", "passwordSecretRef": {"name": "s", "key": key}}}
            for key in ("a/b", "..", ".", "..data")
        ],
        "a Secret's key may have only letters",
    ),
    *(
        Case("CloudTarget", "spec.auth", auth(type_, **{field: value}), refused)
        for type_, field, accepted, values, refused in CREDENTIALS
        for value, refused in [*((one, "") for one in accepted), *((one, refused) for one in values)]
    ),
    *_table(
        "CloudTarget",
        "spec.tls",
        [
            {},
            {"caBundleRef": {"kind": "ConfigMap", "name": "a", "key": "ca.crt"}},
            {"caBundleRef": {"kind": "Secret", "name": "a", "key": "ca.crt"}, "clientCertificateRef": {"name": "c"}},
        ],
        [{"caBundleRef": {"kind": "Pod", "name": "a", "key": "ca.crt"}}],
        "ConfigMap",
    ),
    *_table("CloudTarget", "spec.tls", [], [{"caBundleRef": {"kind": "Secret", "name": "a", "key": ".."}}], KEY),
    *_table("CloudTarget", "spec.tls", [], [{"clientCertificateRef": {"name": "A"}}], OBJECT_NAME),
    *_table(
        "CloudTarget",
        "spec",
        [{"url": "https://a.example", "auth": auth(kind)} for kind in IDENTITIES],
        [{"url": "http://a.example", "auth": auth(kind)} for kind in IDENTITIES],
        "an identity of a cloud is sent only over TLS",
    ),
    *_table(
        "CloudTarget",
        "spec.proxy.url",
        ["http://proxy.example:3128", "https://[2001:db8::7]/"],
        ["proxy.example:3128", "socks5://proxy.example", "http://u:p@proxy.example", "http://proxy.example/x", ""],
        "write the proxy as",
    ),
    *_table(
        "CloudTarget",
        "spec.proxy",
        [{"url": "http://p", "basic": BASIC}],
        [{"url": "http://p", "basic": {**BASIC, "username": "a:b"}}],
        "no colon",
    ),
    *_table(
        "CloudTarget",
        "spec.proxy",
        [{"url": "http://p", "noProxy": ["a.example", ".b.example", "192.0.2.1", "2001:db8::1", "10.0.0.0/8"]}],
        [{"url": "http://p", "noProxy": [entry]} for entry in ("a b", "10.0.0.0/99", "https://a.example", "a/b")],
        "an entry is a host",
    ),
    Case("CloudTarget", "spec.proxy", {"url": "http://p", "noProxy": ["a", "a"]}, "a"),
    Case("CloudTarget", "spec.proxy", {"url": "http://p", "noProxy": [""]}, "noProxy"),
    Case("CloudTarget", "spec.proxy", {"noProxy": []}, "url"),
    *_table(
        "CloudTarget",
        "spec.provider",
        ["Google", "AWS", "Orthanc", "Dcm4chee", "Generic"],
        ["azure", "DCM4CHEE", ""],
        "Generic",
    ),
    *_table(
        "CloudTarget",
        "spec",
        [_azure("https://a.example/v2"), _azure("https://a.example/v1/"), _azure(azure={"partition": "a.b-c_1"})],
        [_azure("https://a.example"), _azure("https://a.example/v2/partitions/x"), _azure("https://a.example/v3")],
        "ends with the version of its API",
    ),
    *_table(
        "CloudTarget",
        "spec",
        [_azure(azure={"partition": "x" * 64})],
        [_azure(azure={"partition": name}) for name in ("a/b", "a b", "..", "\u00e4")],
        "the name of a data partition",
    ),
    Case("CloudTarget", "spec", _azure(azure={"partition": "x" * 65}), "64"),
    Case("CloudTarget", "spec", _azure(azure={"partition": ""}), "at least 1 char"),
    Case("CloudTarget", "spec", _azure(azure={}), "partition"),
    Case("CloudTarget", "spec.azure", {"partition": "a"}, "azure applies only to provider Azure"),
    *_table(
        "CloudTarget",
        "spec.onDuplicate",
        ["AcceptIdentical", "Overwrite", "Accept", "Fail"],
        ["Replace"],
        "AcceptIdentical",
    ),
    *_table(
        "CloudTarget",
        "spec.answers",
        [{}, {"permanentReasons": [1, 65535], "transientReasons": [2], "duplicateReasons": [3]}],
        [
            {"permanentReasons": [1], "transientReasons": [1]},
            {"permanentReasons": [1], "duplicateReasons": [1]},
            {"transientReasons": [2, 1], "duplicateReasons": [1]},
        ],
        "a failure reason is in two lists",
    ),
    Case("CloudTarget", "spec.answers", {"permanentReasons": [0]}, "1"),
    Case("CloudTarget", "spec.answers", {"permanentReasons": [65536]}, "65535"),
    Case("CloudTarget", "spec.answers", {"transientReasons": list(range(1, 66))}, "64"),
    Case("CloudTarget", "spec.answers", {"duplicateReasons": [7, 7]}, "7"),
    Case("CloudTarget", "spec", _azure(answers={"permanentReasons": [1]}), "answers applies only to provider Generic"),
    *_table("CloudTarget", "spec.accepts", ["Any", "DeidentifiedOnly"], ["All"], "DeidentifiedOnly"),
    *_table("DicomNode", "spec.accepts", ["Any", "DeidentifiedOnly"], ["All"], "DeidentifiedOnly"),
    # How instances are de-identified.
    *_table("DeidentificationProfile", "spec.edition", ["2026c"], ["2023e"], "2026c"),
    Case("DeidentificationProfile", "spec.keySecretRef", REMOVED, "keySecretRef"),
    *_table(
        "DeidentificationProfile",
        "spec.options",
        [[], ["RetainUIDs", "RetainFullDates"]],
        [["RetainAll"]],
        "RetainUIDs",
    ),
    Case("DeidentificationProfile", "spec.options", ["RetainFullDates", "RetainModifiedDates"], "exclude each other"),
    Case("DeidentificationProfile", "spec.options", ["CleanRecognizableVisualFeatures"], "does not remove faces"),
    Case("DeidentificationProfile", "spec.options", ["CleanDescriptors"], "allowedTokensRef"),
    *_table("DeidentificationProfile", "spec.patientID.prefix", ["", "STUDY-1."], ["A B", "Ä"], "a prefix has"),
    Case("DeidentificationProfile", "spec.patientID.prefix", "x" * 17, "16"),
    *_table("DeidentificationProfile", "spec.patientID.source", ["Hash"], ["Table"], "Hash"),
    *_table("DeidentificationProfile", "spec.unlistedText", ["Dummy", "Remove", "Keep"], ["Ignore"], "Dummy"),
    *_table(
        "DeidentificationProfile",
        "spec.rules",
        [[_attributes("0008103E")], [_attributes("0018xxxx", "00081030")]],
        [[_attributes("0008,103E")], [_attributes("0008103e")]],
        "8",
    ),
    Case("DeidentificationProfile", "spec.rules", [_attributes("00191023")], "RetainSafePrivate"),
    Case("DeidentificationProfile", "spec.rules", [_attributes("0008103E"), _attributes("0008103E")], "a"),
    Case("DeidentificationProfile", "spec.rules", [{**_attributes("0008103E"), "action": "Encrypt"}], "Keep"),
    *_table(
        "DeidentificationProfile",
        "spec.objects",
        [
            [_object("Pass")],
            [_object("Quarantine", modalities=["US"])],
            [_object("Mask", regions=[REGION])],
            [_object("Mask", outsideUltrasoundRegions=True)],
        ],
        [[_object("Mask")], [_object("Mask", regions=[])]],
        "Mask needs regions",
    ),
    Case("DeidentificationProfile", "spec.objects", [_object("Pass", regions=[REGION])], "apply only to action: Mask"),
    Case("DeidentificationProfile", "spec.objects", [_object("Mask", regions=[{**REGION, "width": 0}])], "1"),
    # Studies.
    *_table(
        "DicomRoute",
        "spec.studies",
        [{}, {"idleSeconds": 1}, {"idleSeconds": 60, "maxOpenSeconds": 60}],
        [{"idleSeconds": 60, "maxOpenSeconds": 59}],
        "less than idleSeconds",
    ),
    Case("DicomRoute", "spec.studies.idleSeconds", 0, "1"),
    Case("DicomRoute", "spec.studies.maxOpenSeconds", 604_801, "604800"),
    Case("DicomRoute", "spec.rules.0.trigger", "StudyComplete", "add studies"),
    Case("DicomRoute", "spec.rules.0.trigger", "InstanceReceived"),
    Case("DicomRoute", "spec.rules.0.trigger", "Never", "StudyComplete"),
    Case("DicomRoute", "spec.rules.0.whenComplete", "study.instances > 1", "set trigger: StudyComplete"),
    Case("DicomRoute", "spec.rules.0.onRevision", "Hold", "set trigger: StudyComplete"),
    Case("DicomRoute", "spec.rules.0.onRevision", "SendNew"),
    # What is missing or unknown.
    Case("CloudTarget", "spec.auth", REMOVED, "auth"),
    Case("CloudTarget", "spec.url", REMOVED, "url"),
    Case("CloudTarget", "spec.ulr", "https://a.example", "ulr"),
    Case("DicomNode", "spec.aeTitel", "CT", "aeTitel"),
    Case("DicomRoute", "spec.rules", REMOVED, "rules"),
    Case("DicomRoute", "spec.gateway.spool.sise", "1Gi", "sise"),
    Case("DicomRoute", f"{LISTENER}.port", "eleven", "integer"),
]


@dataclass(frozen=True)
class Transition:
    """A change of an existing DicomRoute from one value to another. `refused` as in Case."""

    path: str
    before: Any
    after: Any
    refused: str = ""
    claims: tuple[Json, ...] = ()
    """What the status says of claims."""


GROWN: Json = {"name": "spool-ct-gw-0", "state": "Bound", "requested": "10Gi", "capacity": "9Gi"}
PENDING: Json = {"name": "spool-ct-gw-0", "state": "Pending", "requested": "10Gi"}

TRANSITIONS: list[Transition] = [
    Transition("spec.gateway.spool.size", "10Gi", "10Gi"),
    Transition("spec.gateway.spool.size", "10Gi", "10241Mi"),
    Transition("spec.gateway.spool.size", "10Gi", "10239Mi", "a volume cannot shrink"),
    Transition("spec.gateway.spool.size", "10Gi", "9Gi", claims=(GROWN,)),
    Transition("spec.gateway.spool.size", "10Gi", "9215Mi", "its claim in status.claims", (GROWN,)),
    Transition("spec.gateway.spool.size", "10Gi", "1Gi", claims=(PENDING,)),
    Transition("spec.gateway.spool.storageClassName", "fast", "fast"),
    Transition("spec.gateway.spool.storageClassName", "fast", "slow", "storageClassName cannot change"),
    Transition("spec.gateway.spool.storageClassName", "fast", REMOVED, "storageClassName cannot change"),
    Transition("spec.gateway.spool.storageClassName", "fats", "fast", claims=(PENDING,)),
    Transition("spec.gateway.spool.storageClassName", "fats", REMOVED, claims=(PENDING,)),
    Transition("spec.gateway.spool.storageClassName", "fats", "fast", "cannot change", (GROWN,)),
]

"""The control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, and nodes for it."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.rig.kube.access import Access
from tests.rig.kube.daemon import Daemon
from tests.rig.kube.identity import ADMINS, SERVICE_IP, Authority
from tests.rig.loopback import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.rig.kube.binaries import Binaries

ROOT = Path(__file__).parents[3]
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
NODE_LOST_S = 15
"""How long a node may be silent before it counts as lost. A real cluster has 50."""


class Cluster(Access):
    """A Kubernetes of its own in `folder`. Shared by all tests, except that one may restart its parts."""

    def __init__(self, binaries: Binaries, folder: Path) -> None:
        self.binaries = binaries
        self.folder = folder
        folder.mkdir(parents=True)
        self.port = free_port()
        self.authority = Authority(folder / "pki")
        super().__init__(binaries.program("kubectl"), self.user("admin", [ADMINS]))
        self.audit_log = folder / "audit.log"
        self.nodes: dict[str, Daemon] = {}
        etcd = f"http://{HOST}:{free_port()}"
        self.etcd = self._daemon("etcd", _etcd(binaries.etcd, folder / "etcd", etcd, f"http://{HOST}:{free_port()}"))
        self.apiserver = self._daemon("kube-apiserver", self._apiserver(etcd))
        self.controllers = self._daemon("kube-controller-manager", self._controllers())
        self.scheduler = self._daemon("kube-scheduler", self._scheduler())

    @property
    def url(self) -> str:
        """Where the API server is."""
        return f"https://{HOST}:{self.port}"

    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for a user of that name, who may do what RBAC says."""
        return self.authority.kubeconfig(name.replace(":", "-"), self.url, name, groups)

    def account(self, namespace: str, name: str) -> Path:
        """A kubeconfig for a ServiceAccount, by a token of it."""
        token = self.kubectl("create", "token", name, "-n", namespace).strip()
        return self.authority.written(f"{namespace}-{name}", self.url, name, {"token": token})

    # Starting and stopping

    def start(self) -> Self:
        """Start all of it, and return when a pod can be made and run."""
        self.etcd.start()
        self.start_apiserver()
        self.controllers.start()
        self.scheduler.start()
        self.add_node("node-1")
        self.controllers.wait_until(lambda: self.there("serviceaccount", "default"))
        return self

    def start_apiserver(self) -> None:
        """Start the API server, again or for the first time, and wait until it is ready."""
        self.apiserver.start()
        self.apiserver.wait_until(self._ready)

    def add_node(self, name: str, **settings: Any) -> Daemon:
        """Start a node, or start it again after it was stopped or killed; returns when it is ready."""
        if name not in self.nodes:
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.nodes[name] = Daemon(name, self._node(name, settings), self.folder / f"{name}.log", env)
        node = self.nodes[name]
        node.start()
        node.wait_until(lambda: self._node_is_ready(name))
        return node

    def remove(self) -> None:
        """Stop all of it, and delete its files."""
        for each in (*self.nodes.values(), self.scheduler, self.controllers, self.apiserver, self.etcd):
            each.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Asking

    def requests(self, user: str = "") -> Iterator[dict[str, Any]]:
        """What the API server was asked, in the order of the answers; by one user alone, when one is given."""
        for line in self.audit_log.read_text().splitlines():
            event = json.loads(line)
            if not user or event["user"]["username"] == user:
                yield event

    # Parts

    def _daemon(self, name: str, command: Sequence[str | Path]) -> Daemon:
        return Daemon(name, command, self.folder / f"{name}.log")

    def _apiserver(self, etcd: str) -> list[str | Path]:
        policy = self.folder / "audit-policy.json"
        policy.write_text(json.dumps(AUDIT_POLICY))
        pki, issue = self.authority.folder, self.authority.issue
        hosts = [HOST, SERVICE_IP, "localhost", "kubernetes.default.svc"]
        certificate, key = issue("apiserver", "kube-apiserver", hosts=hosts)
        client, client_key = issue("apiserver-client", "kube-apiserver-kubelet-client", [ADMINS])
        return [
            self.binaries.program("kube-apiserver"), f"--bind-address={HOST}", f"--secure-port={self.port}",
            f"--etcd-servers={etcd}", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true",
            "--endpoint-reconciler-type=none",  # a loopback address is refused as endpoint of the service
            f"--client-ca-file={self.authority.ca}", f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--anonymous-auth=false",
            f"--kubelet-certificate-authority={self.authority.ca}", f"--kubelet-client-certificate={client}",
            f"--kubelet-client-key={client_key}", "--kubelet-preferred-address-types=Hostname,InternalIP",
            f"--audit-log-path={self.audit_log}", f"--audit-policy-file={policy}", "--profiling=false",
        ]  # fmt: skip

    def _controllers(self) -> list[str | Path]:
        pki = self.authority.folder
        return [
            self.binaries.program("kube-controller-manager"), f"--kubeconfig={self.user('system:kube-controller-manager')}",
            f"--bind-address={HOST}", f"--secure-port={free_port()}", "--leader-elect=false",
            "--use-service-account-credentials=true", f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--root-ca-file={self.authority.ca}",
            "--kube-api-qps=300", "--kube-api-burst=600",  # at the default of 20 each namespace is seconds late
            f"--node-monitor-grace-period={NODE_LOST_S}s", "--node-monitor-period=1s",
        ]  # fmt: skip

    def _scheduler(self) -> list[str | Path]:
        return [
            self.binaries.program("kube-scheduler"), f"--kubeconfig={self.user('system:kube-scheduler')}",
            f"--bind-address={HOST}", f"--secure-port={free_port()}", "--leader-elect=false",
        ]  # fmt: skip

    def _node(self, name: str, settings: dict[str, Any]) -> list[str | Path]:
        kubeconfig = self.authority.kubeconfig(name, self.url, f"system:node:{name}", ["system:nodes"])
        certificate, key = self.authority.issue(
            f"{name}-serving", f"system:node:{name}", ["system:nodes"], [HOST, name]
        )
        path = self.folder / f"{name}.json"
        given = {
            "name": name, "port": free_port(), "folder": str(self.folder / f"{name}-pods"), "ca": str(self.authority.ca),
            "certificate": str(certificate), "key": str(key), "kubeconfig": str(kubeconfig), **settings,
        }  # fmt: skip
        path.write_text(json.dumps(given))
        return [sys.executable, "-m", "tests.rig.kube.node", path]

    def _ready(self) -> bool:
        """The API server says that it is ready."""
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        context.load_cert_chain(self.authority.folder / "admin.crt", self.authority.folder / "admin.key")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", context=context, timeout=5) as answer:
                return bool(answer.read() == b"ok")
        except OSError:
            return False

    def _node_is_ready(self, name: str) -> bool:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return self.run("get", "node", name, "-o", path).stdout.strip() == "True"


def _etcd(program: Path, data: Path, clients: str, peers: str) -> list[str | Path]:
    return [
        program, "--data-dir", data, "--listen-client-urls", clients, "--advertise-client-urls", clients,
        "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}",
    ]  # fmt: skip

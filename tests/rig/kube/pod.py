"""The life of one pod on the node."""

from __future__ import annotations

import threading
import time
import traceback
from typing import TYPE_CHECKING

from httpx2 import HTTPError
from lightkube import ApiError
from lightkube.resources.core_v1 import Pod as PodResource
from lightkube.types import PatchType

from tests.rig.kube.api import now, tell
from tests.rig.kube.container import Container, Mount, Setup
from tests.rig.kube.environment import ConfigError, Objects, expand
from tests.rig.kube.settings import ImageMissing, image
from tests.rig.kube.status import LOST, Record, ended, phase_of, pod_status, waiting
from tests.rig.kube.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube import Client
    from lightkube.models.core_v1 import Container as Wanted

    from tests.rig.kube.settings import Settings

RETRY_S = 1.0
"""Between two attempts to make a container that cannot be made."""
TICK_S = 0.02
GRACE_S = 30
GONE = (404, 409)
FALLBACK = "FallbackToLogsOnError"


class Pod:
    """One pod, from the moment it is bound to this node until it is gone."""

    def __init__(self, seen: PodResource, client: Client, settings: Settings) -> None:
        assert seen.metadata is not None
        assert seen.spec is not None
        self.seen = seen
        self.spec = seen.spec
        self.client = client
        self.settings = settings
        self.namespace = seen.metadata.namespace or "default"
        self.name = seen.metadata.name or ""
        self.uid = seen.metadata.uid or ""
        self.folder = settings.folder / f"{self.namespace}_{self.name}_{self.uid}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.inits = [self._record(each, "PodInitializing") for each in self.spec.initContainers or []]
        first = "PodInitializing" if self.inits else "ContainerCreating"
        self.containers = [self._record(each, first) for each in self.spec.containers]
        self.objects = Objects(client, seen, settings.address)
        self.volumes = Volumes(self.spec.volumes or [], self.objects, self.folder / "volumes")
        self.began = now()
        self.reason = ""
        self.over = threading.Event()
        self.grace_s: float | None = None
        self._stop = threading.Event()
        self._reporting = threading.Lock()
        self._told: set[str] = set()

    def _record(self, wanted: Wanted, reason: str) -> Record:
        return Record(wanted, self.folder, waiting(reason))

    def start(self) -> None:
        """Begin its life."""
        threading.Thread(target=self._guarded, daemon=True).start()

    def container(self, name: str) -> Record | None:
        """Its container of that name."""
        return next((each for each in (*self.inits, *self.containers) if each.name == name), None)

    def terminate(self, grace_s: float) -> None:
        """SIGTERM now, SIGKILL after the grace period."""
        self.grace_s = grace_s
        self._stop.set()

    @property
    def terminating(self) -> bool:
        """Whether it was told to end."""
        return self._stop.is_set()

    def lost(self) -> None:
        """It ran before this node was started anew, and nobody knows how it ended."""
        for each in self.containers:
            each.state = ended(LOST, self.began, "The container could not be located", "ContainerStatusUnknown")
        self._finish("Failed")

    # Its life

    def _guarded(self) -> None:
        try:
            self._live()
        except Exception as error:
            traceback.print_exc()
            self.reason = f"fault of the process node: {error!r}"
            self._finish("Failed")

    def _live(self) -> None:
        if self.spec.activeDeadlineSeconds:
            timer = threading.Timer(self.spec.activeDeadlineSeconds, self._late)
            timer.daemon = True
            timer.start()
        if not self._set_up_volumes():
            self._finish("Failed")
            return
        threading.Thread(target=self._sync, daemon=True).start()
        never = self.spec.restartPolicy == "Never"
        for each in self.inits:
            self._run(each, "Never" if never else "OnFailure")
            if not each.succeeded:
                self._finish("Failed")
                return
        policy = self.spec.restartPolicy or "Always"
        threads = [threading.Thread(target=self._run, args=(each, policy), daemon=True) for each in self.containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # only what was seen to end well counts: a thread of ours that failed must never read as success
        well = all(each.succeeded for each in self.containers) and not self.reason
        self._finish("Succeeded" if well else "Failed")

    def _late(self) -> None:
        self.reason = "DeadlineExceeded"
        self.terminate(self.spec.terminationGracePeriodSeconds or GRACE_S)

    def _set_up_volumes(self) -> bool:
        while not self._stop.is_set():
            try:
                self.volumes.set_up()
            except ConfigError as error:
                self._tell_once("FailedMount", str(error))
                self.report()
                self._stop.wait(RETRY_S)
            except HTTPError as error:  # refused for now, or no answer: a kubelet tries again, too
                self._note(error)
                self._stop.wait(RETRY_S)
            else:
                return True
        for each in self.containers:
            each.state = ended(LOST, self.began, reason="ContainerStatusUnknown")
        return False

    def _sync(self) -> None:
        while not self.over.wait(self.settings.sync_s):
            try:
                self.volumes.sync()
            except HTTPError as error:  # the API server is away: a kubelet leaves the volume as it is, too
                self._note(error)

    def _run(self, record: Record, policy: str) -> None:
        """Run a container, again and again as the policy wants it."""
        pause_s = self.settings.crash_wait_s
        while (container := self._created(record)) is not None:
            self._wait_for(container, record)
            if self._stop.is_set() or policy == "Never" or (policy == "OnFailure" and record.succeeded):
                return
            record.last = record.state
            record.restarts += 1
            record.state = waiting("CrashLoopBackOff", f"back-off {pause_s:.0f}s restarting failed container")
            self.report()
            if self._stop.wait(pause_s):
                record.state = record.last
                return
            pause_s = min(pause_s * 2, 300)

    def _created(self, record: Record) -> Container | None:
        """The running container; None when the pod was told to end before it could be made."""
        while not self._stop.is_set():
            try:
                container = Container(self._setup(record))
            except ImageMissing as error:
                self._tell_once("Failed", f'Failed to pull image "{record.wanted.image}": {error}')
                record.state = waiting("ImagePullBackOff", f'Back-off pulling image "{record.wanted.image}": {error}')
            except ConfigError as error:
                self._tell_once("Failed", f"Error: {error}")
                record.state = waiting("CreateContainerConfigError", str(error))
            except HTTPError as error:
                self._note(error)
            else:
                record.id = container.id
                record.state = {"running": {"startedAt": now()}}
                self.report()
                return container
            self.report()
            self._stop.wait(RETRY_S)
        record.state = ended(LOST, self.began, reason="ContainerStatusUnknown")
        return None

    def _wait_for(self, container: Container, record: Record) -> None:
        began = record.state["running"]["startedAt"]
        kill_at: float | None = None
        while not container.ended():
            if kill_at is None and self._stop.wait(TICK_S):
                kill_at = time.monotonic() + (self.grace_s or 0)
                container.terminate()
            elif kill_at is not None:
                if time.monotonic() > kill_at:
                    container.kill()
                time.sleep(TICK_S)
        words = container.last_words(log_instead=record.wanted.terminationMessagePolicy == FALLBACK)
        record.state = ended(container.exit_code, began, words, container=container.id)

    def _setup(self, record: Record) -> Setup:
        wanted = record.wanted
        of_image = image(wanted.image or "")
        env = self.objects.environment(wanted, of_image)
        arguments = [expand(each, env) for each in (*(wanted.command or of_image.entrypoint), *(wanted.args or []))]
        if not arguments:
            raise ConfigError("no command specified")
        security = wanted.securityContext
        return Setup(
            arguments=arguments,
            env=env,
            folder=wanted.workingDir or of_image.folder,
            mounts=[
                Mount(self.volumes.path(each.name), each.mountPath, bool(each.readOnly))
                for each in wanted.volumeMounts or []
            ],
            hidden=[self.settings.folder.parent],
            shared=self.settings.shared,
            message=self.folder / f"{record.name}.{record.restarts}.message",
            message_path=wanted.terminationMessagePath or "/dev/termination-log",
            read_only_root=bool(security and security.readOnlyRootFilesystem),
            log=record.log(),
        )

    # What it says

    def _finish(self, phase: str) -> None:
        self.over.set()
        self.report(phase)
        if self.grace_s is not None and self.seen.metadata and self.seen.metadata.deletionTimestamp:
            self.remove()

    def report(self, phase: str = "") -> None:
        """Write its status. Tried again while the API server is away."""
        with self._reporting:
            said = phase or phase_of(self.containers)
            status = pod_status(said, self.inits, self.containers, self.settings.address, self.began, self.reason)
            body = {"metadata": {"uid": self.uid}, "status": status}
            self._insist(
                lambda: self.client.patch(
                    PodResource.Status, self.name, body, namespace=self.namespace, patch_type=PatchType.STRATEGIC
                )
            )

    def remove(self) -> None:
        """Have it forgotten: it is over, and somebody has deleted it."""
        self._insist(lambda: self.client.delete(PodResource, self.name, namespace=self.namespace, grace_period=0))

    def _insist(self, act: Callable[[], object]) -> None:
        while True:
            try:
                act()
            except ApiError as error:
                if error.status.code in GONE:
                    return
                self._note(error)
            except HTTPError as error:  # the API server is away
                self._note(error)
            else:
                return
            time.sleep(0.3)

    def _note(self, error: Exception) -> None:
        print(f"{self.namespace}/{self.name}: {error!r}", flush=True)

    def _tell_once(self, reason: str, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            tell(self.client, self.seen, reason, message)

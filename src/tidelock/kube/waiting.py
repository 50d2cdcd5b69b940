"""What an application's pod waits in until it may start: `tidelock wait` as an init container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidelock.core.source import number_of
from tidelock.kube import pod

if TYPE_CHECKING:
    from tidelock.kube.delivery import Delivery

NAME = "wait-for-migrations"


def pod_part(delivery: Delivery) -> dict[str, Any]:
    """`initContainers` and `volumes` to be merged into the pod template of an application.

    With critical tables it waits for those, be they on their fallback; otherwise for the newest migration.
    """
    found = pod.container(delivery, NAME, ["wait", *waited_for(delivery), "--wait", "10m"], bundled=False)
    volumes = pod.volumes(delivery, bundled=False)
    prefixed = {each["name"]: f"tidelock-{each['name']}" for each in volumes}
    return {
        "spec": {
            "template": {
                "spec": {
                    "initContainers": [
                        {
                            **found,
                            "volumeMounts": [
                                {**each, "name": prefixed[each["name"]]} for each in found["volumeMounts"]
                            ],
                        }
                    ],
                    "volumes": [{**each, "name": prefixed[each["name"]]} for each in volumes],
                }
            }
        }
    }


def waited_for(delivery: Delivery) -> list[str]:
    """The arguments: critical tables, or a version."""
    files = pod.settings_files(delivery)
    if delivery.tables:
        return [*files, "--critical"]
    newest = max((int(number_of(name)) for name in delivery.bundle.files if number_of(name)), default=0)
    return [*files, "--version", str(newest)]

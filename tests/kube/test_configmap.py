"""A bundle of thousands of files: within what Kubernetes allows of an object, and whole again in the pod."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidelock.core.bundle import Bundle, mountable
from tidelock.core.workload import Workload
from tidelock.kube import job
from tidelock.kube.configmap import ManyPaths, bundle_maps
from tidelock.kube.delivery import BUNDLE, Delivery
from tidelock.operator.view import content, read_map

ANNOTATIONS_BYTES = 256 << 10
"""TotalAnnotationSizeLimitB of k8s.io/apimachinery/pkg/api/validation/objectmeta.go."""
OBJECT_BYTES = 3 << 19
"""What etcd takes: --max-request-bytes."""


def delivered(files: dict[str, bytes]) -> Delivery:
    workload = Workload(namespace="farm", image="tidelock", host="db").named("")
    return Delivery(workload=workload, bundle=mountable(files))


def annotations_bytes(found: dict[str, Any]) -> int:
    return sum(len(name.encode()) + len(text.encode()) for name, text in found["metadata"]["annotations"].items())


@pytest.mark.parametrize(
    "files",
    [
        {f"gemeinsam/größe {number:05}.sql": b"-" * 100 for number in range(6000)},
        {f"common/{number:05}.sql": b"-" * 3400 for number in range(6100)},
        {f"{number:05}_a.sql": b"-" * 3400 for number in range(6100)},
    ],
    ids=["small in a folder", "20 MiB in a folder", "20 MiB beside each other"],
)
def test_thousands_of_files_fit_what_kubernetes_allows(files: dict[str, bytes]) -> None:
    found = delivered({"001_a.sql": b"SELECT 1;", **files})
    maps = bundle_maps(found)
    assert all(annotations_bytes(each) < ANNOTATIONS_BYTES for each in maps)
    made = job.job(found)
    assert len(json.dumps(made)) < OBJECT_BYTES
    whole = content([read_map(each, BUNDLE) for each in maps])
    assert whole.whole
    assert whole.bundle.digest == Bundle(found.bundle.files).digest
    (volume,) = (each for each in made["spec"]["template"]["spec"]["volumes"] if each["name"] == "migrations")
    sources = (
        [each["configMap"] for each in volume["projected"]["sources"]]
        if "projected" in volume
        else [volume["configMap"]]
    )
    assert len(sources) == len(maps)
    mounted = [
        each["path"]
        for source, config_map in zip(sources, maps, strict=True)
        for each in source.get("items") or [{"path": name} for name in config_map["data"]]
    ]
    assert sorted(mounted) == sorted(found.bundle.files)


def test_more_paths_than_a_job_can_list_are_refused() -> None:
    with pytest.raises(ManyPaths, match="20,000 files"):
        bundle_maps(delivered({f"common/{number:05}.sql": b"-" for number in range(20_000)}))

"""Fields that others have set pass to whoever deploys: all of the spec, and nothing else."""

from __future__ import annotations

from typing import Any

from tidelock.kube.ownership import sole


def entry(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


OURS = entry("tidelock", "Apply", {"f:metadata": {"f:labels": {}}, "f:spec": {"f:a": {"f:x": {}}}})


def test_a_spec_that_is_ours_alone_stays_as_it_is():
    told = entry("controller", "Update", {"f:status": {}}, subresource="status")
    labelled = entry("kubectl", "Update", {"f:metadata": {"f:labels": {"f:team": {}}}})
    assert sole([OURS, told, labelled], "tidelock") is None
    assert sole([labelled], "tidelock") is None


def test_what_others_have_set_of_it_becomes_ours_and_their_labels_stay_theirs():
    labels: dict[str, Any] = {"f:labels": {"f:team": {}}}
    other = entry(
        "kubectl-client-side-apply", "Update", {"f:metadata": labels, "f:spec": {"f:a": {"f:y": {}}, "f:b": {}}}
    )
    alone = entry("kubectl-edit", "Update", {"f:spec": {"f:c": {}}})
    assert sole([other, OURS, alone], "tidelock") == [
        {**OURS, "fieldsV1": {**OURS["fieldsV1"], "f:spec": {"f:a": {"f:x": {}, "f:y": {}}, "f:b": {}, "f:c": {}}}},
        {**other, "fieldsV1": {"f:metadata": labels}},
    ]

"""Which cluster is meant: as kubectl finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tidelock.kube.faults import NoContext
from tidelock.kube.kubeconfig import configuration


def write(path: Path, name: str, current: str = "", **user: Any) -> Path:
    data = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}", "certificate-authority": "ca.crt"}}],
        "users": [{"name": name, "user": user or {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
        "current-context": current,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(data))
    return path


def test_the_current_context_or_the_one_that_is_named(tmp_path: Path):
    path = write(tmp_path / "config", "dev", current="dev")
    assert configuration(path, None).cluster.server == "https://dev"
    assert configuration(path, "dev").namespace == "ns-dev"


def test_several_files_are_one_and_paths_count_from_their_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = write(tmp_path / "a" / "config", "dev")
    second = write(tmp_path / "b" / "config", "prod", current="prod")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}")
    assert configuration(None, None).context_name == "prod"
    assert configuration(None, "dev").cluster.certificate_auth == str(tmp_path / "a" / "ca.crt")
    assert configuration(None, "prod").cluster.certificate_auth == str(tmp_path / "b" / "ca.crt")


def test_a_program_that_speaks_v1_is_asked_as_v1(tmp_path: Path):
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": "login", "interactiveMode": "IfAvailable"}
    user = configuration(write(tmp_path / "config", "dev", exec=program), "dev").user
    assert user is not None
    assert user.exec is not None
    assert user.exec.apiVersion.endswith("/v1beta1"), "what lightkube knows"
    assert [each.name for each in user.exec.env or []] == ["KUBERNETES_EXEC_INFO"]


@pytest.mark.parametrize(
    ("text", "context", "said"),
    [
        ("", None, "cannot be used"),
        (": :", None, "this is no kubeconfig"),
        ("[1]", None, "this is no kubeconfig"),
        ("contexts: [{name: a, context: {cluster: x, user: y}}]", "a", "cannot be used"),
        ("contexts: [{name: a, context: {cluster: x, user: y}}]", "b", "contexts there: a"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_file(tmp_path: Path, text: str, context: str | None, said: str):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(NoContext) as caught:
        configuration(path, context)
    assert str(path) in caught.value.message
    assert said in caught.value.message + caught.value.hint


def test_without_any_it_says_where_it_has_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoContext, match=r"~/.kube/config"):
        configuration(None, None)
    with pytest.raises(NoContext, match="No such file"):
        configuration(tmp_path / "nowhere", None)

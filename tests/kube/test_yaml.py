"""Objects → YAML that every reader reads alike."""

import subprocess
from pathlib import Path

import hypothesis
import pytest
import yaml as pyyaml
from hypothesis import example, given
from hypothesis import strategies as st

from tidelock.kube import yaml

SLOW = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
"""A busy machine is no failure."""
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60)
LINES = st.lists(
    st.sampled_from(["", " ", "\t", "a", " a", "a ", "- x", "# no comment", "k: v", "---", "...", "é", "\r", "'", '"']),
    max_size=8,
).map("\n".join)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**31), 2**31), TEXTS, LINES),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS.filter(bool), inner, max_size=4)),
    max_leaves=12,
)


@SLOW
@given(st.dictionaries(TEXTS.filter(bool), VALUES, min_size=1, max_size=4))
@example({"a": "x\n\n"})
@example({"a": {"b": "\n x"}})
@example({"a": ["yes", "1e3", "0x10", "12:30", "~", "", "null", "=", "a: b", "a #b"]})
def test_what_is_written_is_what_is_read(value):
    assert pyyaml.safe_load(yaml.document(value)) == value


def test_sql_stays_readable():
    text = "-- a comment\nSELECT 1;   \n\tSELECT 'ü';\n"
    assert yaml.document({"data": {"1.sql": text}}) == (
        "data:\n  \"1.sql\": |\n    -- a comment\n    SELECT 1;   \n    \tSELECT 'ü';\n"
    )


def test_lists_of_objects_stand_below_their_key():
    assert yaml.document({"a": [{"b": 1, "c": ["d"]}, []]}) == "a:\n- b: 1\n  c:\n  - d\n- []\n"


def test_words_that_yaml_takes_for_something_else_are_quoted():
    assert yaml.document({"a": "no", "b": "1e3", "c": "sha256:00"}) == 'a: "no"\nb: "1e3"\nc: sha256:00\n'


@pytest.mark.parametrize(
    "text",
    [
        "a\r\nb\n",
        "\ufeffSELECT 1;\n",
        "a\u2028b\n",
        "  first\nsecond\n",
        "a\n  \nb\n",
        "😀\n",
        "a\n\n\n",
        "\n",
        "\ta\nb",
    ],
)
def test_kubectl_reads_the_same_text(text, tmp_path: Path, kubectl):
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": text}}
    (tmp_path / "a.yaml").write_text(yaml.document(manifest), encoding="utf-8", newline="")
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    done = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, check=True)
    assert pyyaml.safe_load(done.stdout)["data"] == {"x": text}

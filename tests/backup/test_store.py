"""Where the objects of a backup go, by the URL and the environment. S3 and directories are tried for real elsewhere;
GCS and Azure are not: here their clients sign a request, which needs no network, with what they were told.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import obstore
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tidelock.backup.store import Store, StoreFailed, opened, shown

if TYPE_CHECKING:
    from pathlib import Path

CLOUDS = ("AZURE_", "GOOGLE_", "AWS_")
KEY = "a2V5IG9mIG5vIGFjY291bnQ="


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own."""
    import os

    for name in [name for name in os.environ if name.startswith(CLOUDS)]:
        monkeypatch.delenv(name)


def signed(url: str) -> tuple[str, dict[str, list[str]]]:
    """The address that a GET of `ID/manifest.json` goes to, and what of its query says who asks."""
    store: Any = opened(url)
    parts = urlsplit(obstore.sign(store, "GET", "farm/ID/manifest.json", timedelta(minutes=5)))
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parse_qs(parts.query)


@pytest.mark.parametrize(
    "url", ["az://backups/tide", "azure://backups/tide", "abfss://backups@acct.dfs.core.windows.net/tide"]
)
def test_azure_by_account_and_key(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "acct")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    where, asks = signed(url)
    assert where == "https://acct.blob.core.windows.net/backups/tide/farm/ID/manifest.json"
    assert asks["sig"]


@pytest.mark.parametrize("form", ["path", "text", "application"])
def test_gcs_by_a_service_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = json.dumps(
        {
            "type": "service_account",
            "client_email": "tide@farm.example",
            "private_key_id": "1",
            "private_key": pem.decode(),
        }
    )
    file = tmp_path / "account.json"
    file.write_text(account)
    name, value = {
        "path": ("GOOGLE_SERVICE_ACCOUNT", str(file)),
        "text": ("GOOGLE_SERVICE_ACCOUNT_KEY", account),
        "application": ("GOOGLE_APPLICATION_CREDENTIALS", str(file)),
    }[form]
    monkeypatch.setenv(name, value)
    where, asks = signed("gs://backups/tide")
    assert where == "https://storage.googleapis.com/backups/tide/farm/ID/manifest.json"
    assert asks["X-Goog-Credential"][0].startswith("tide@farm.example/")


def test_s3_by_keys_and_an_endpoint_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TIDE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert signed("s3://backups/tide")[0] == "https://s3.eu-north-1.amazonaws.com/backups/tide/farm/ID/manifest.json"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    where, asks = signed("s3://backups/tide")
    assert where == "http://minio:9000/backups/tide/farm/ID/manifest.json"
    assert asks["X-Amz-Credential"][0].startswith("TIDE/")


@pytest.mark.parametrize("url", ["ftp://host/backups", "s4://backups"])
def test_a_store_that_nobody_knows_is_named(url: str) -> None:
    with pytest.raises(StoreFailed, match=url):
        Store(url)


def test_what_may_be_a_secret_is_not_shown() -> None:
    assert shown("https://user:hush@host/backups?sig=hush") == "https://host/backups"

"""``headframe keys``: what it writes, what it refuses, and that no private key gets out."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import headframe
from protocol.messages import Role, load_private_key, load_trust, read_trust
from vehicle_agent.shell import keys
from vehicle_agent.shell.keys import Wanted

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=400)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    keys.init(folder, "mine", NOW)
    return folder


def trust_of(site: Path) -> str:
    return (site / "trust.json").read_text(encoding="utf-8")


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def revoked_serials(site: Path) -> set[int]:
    listed = x509.load_pem_x509_crl((site / "crl.pem").read_bytes())
    return {entry.serial_number for entry in listed}


def test_everything_written__is_its_owners_alone(site: Path) -> None:
    keys.issue(site, Wanted("truck-1", "vehicle"), NOW)
    modes = {path.name: path.stat().st_mode & 0o777 for path in site.rglob("*")}
    folders = {"truck-1": 0o700}
    assert modes == dict.fromkeys(modes, 0o600) | folders
    assert site.stat().st_mode & 0o777 == 0o700


def test_device__signs_under_the_name_and_role_that_the_trust_file_has(site: Path) -> None:
    keys.issue(site, Wanted("console-1", "driver"), NOW)
    own = load_private_key((site / "console-1" / "device.jwk").read_text(encoding="utf-8"))
    identity = load_trust(trust_of(site), NOW)["console-1"]
    assert identity.role is Role.DRIVER
    assert own.thumbprint() == identity.key.thumbprint()


def test_certificate__names_the_device_and_is_for_clients_only(site: Path) -> None:
    keys.issue(site, Wanted("console-1", "driver", days=30), NOW)
    made = certificate(site / "console-1" / "tls.crt")
    uses = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    common = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert common == "console-1"
    assert set(uses) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert made.not_valid_after_utc == NOW + timedelta(days=30)
    made.verify_directly_issued_by(certificate(site / "console-1" / "ca.crt"))


def test_broker__serves_under_its_hosts_and_signs_nothing(site: Path) -> None:
    keys.issue(site, Wanted("control", "broker", hosts=("10.0.0.7", "broker.mine")), NOW)
    made = certificate(site / "control" / "tls.crt")
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.mine"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    assert not (site / "control" / "device.jwk").exists()
    assert load_trust(trust_of(site), NOW) == {}


def test_revoked__certificate_and_key_count_no_more(site: Path) -> None:
    keys.issue(site, Wanted("console-1", "driver"), NOW)
    serial = certificate(site / "console-1" / "tls.crt").serial_number
    keys.revoke(site, "console-1", "lost", NOW)
    assert load_trust(trust_of(site), NOW) == {}
    assert revoked_serials(site) == {serial}


def test_expired__is_shown_and_not_trusted(site: Path) -> None:
    keys.issue(site, Wanted("console-1", "driver"), NOW)
    assert read_trust(trust_of(site), LATER).refused == {"console-1": "expired on 2027-06-01"}
    assert keys.show(site, LATER)["devices"][0]["standing"] == "expired"


def test_replaced__old_key_is_revoked_and_the_new_one_counts(site: Path) -> None:
    keys.issue(site, Wanted("console-1", "driver"), NOW)
    old = certificate(site / "console-1" / "tls.crt").serial_number
    keys.issue(site, Wanted("console-1", "supervisor", replace=True), NOW)
    assert load_trust(trust_of(site), NOW)["console-1"].role is Role.SUPERVISOR
    assert revoked_serials(site) == {old}
    assert [row["standing"] for row in keys.show(site, NOW)["devices"]] == ["revoked", "valid"]


def test_issued_twice__is_refused_and_the_first_stays(site: Path) -> None:
    keys.issue(site, Wanted("console-1", "driver"), NOW)
    before = (site / "console-1" / "device.jwk").read_bytes()
    with pytest.raises(ValueError, match="--replace"):
        keys.issue(site, Wanted("console-1", "driver"), NOW)
    assert (site / "console-1" / "device.jwk").read_bytes() == before


def test_issued_again_after_a_revocation__old_files_are_not_overwritten(site: Path) -> None:
    keys.issue(site, Wanted("console-1", "driver"), NOW)
    keys.revoke(site, "console-1", "", NOW)
    before = trust_of(site)
    with pytest.raises(ValueError, match="--replace"):
        keys.issue(site, Wanted("console-1", "driver"), NOW)
    assert trust_of(site) == before


def test_second_authority_in_the_same_folder__is_refused(site: Path) -> None:
    with pytest.raises(ValueError, match="not empty"):
        keys.init(site, "mine", NOW)


def test_authority_whose_key_others_may_read__is_not_used(site: Path) -> None:
    (site / "authority.key").chmod(0o640)
    with pytest.raises(ValueError, match="others may read"):
        keys.issue(site, Wanted("console-1", "driver"), NOW)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Wanted("a b", "driver"), "only 1-64"),
        (Wanted("..", "driver"), "taken for a file"),
        (Wanted("trust.json", "driver"), "taken for a file"),
        (Wanted("console-1", "king"), "there are driver"),
        (Wanted("console-1", "driver", days=0), "days"),
        (Wanted("console-1", "driver", days=3650), "outlive"),
        (Wanted("console-1", "driver", hosts=("h",)), "nothing else takes it"),
        (Wanted("control", "broker"), "needs --host"),
    ],
)
def test_wrong_wish__is_refused_and_nothing_is_written(
    site: Path, wanted: Wanted, reason: str
) -> None:
    later = NOW + timedelta(days=1)
    before = sorted(site.rglob("*"))
    with pytest.raises(ValueError, match=reason):
        keys.issue(site, wanted, later)
    assert sorted(site.rglob("*")) == before


Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = headframe.main(("keys", *arguments, "--dir", str(tmp_path / "site")))
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    return call


def test_command_line__makes_issues_revokes_and_shows(run: Run) -> None:
    assert run("init", "--site", "mine")[0] == 0
    assert run("issue", "truck-1", "--role", "vehicle")[0] == 0
    assert run("issue", "console-1", "--role", "driver", "--days", "30")[0] == 0
    assert run("revoke", "console-1", "--reason", "lost")[0] == 0
    code, out, errors = run("show", "--json")
    assert (code, errors) == (0, [])
    rows = json.loads(out)["devices"]
    assert [(row["name"], row["standing"]) for row in rows] == [
        ("truck-1", "valid"),
        ("console-1", "revoked"),
    ]


def test_nothing_printed__holds_a_private_key(run: Run, tmp_path: Path) -> None:
    said = [run("init", "--site", "mine"), run("issue", "truck-1", "--role", "vehicle")]
    said += [run("show"), run("show", "--json"), run("revoke", "truck-1", "--json")]
    said.append(run("issue", "truck-1", "--role", "vehicle"))
    home = tmp_path / "site"
    secret = json.loads((home / "truck-1" / "device.jwk").read_text(encoding="utf-8"))["d"]
    public = trust_of(home) + (home / "register.json").read_text(encoding="utf-8")
    text = public + "".join(out + "".join(errors) for _, out, errors in said)
    assert secret not in text
    assert "PRIVATE KEY" not in text


@pytest.mark.parametrize(
    "arguments",
    [("issue", "console-1", "--role", "driver"), ("revoke", "console-1"), ("show",)],
)
def test_no_authority_there__one_line_and_exit_1(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, errors = run(*arguments)
    assert (code, out, len(errors)) == (1, "", 1)
    assert "headframe keys init" in errors[0]


def test_unknown_device_revoked__one_line_and_exit_1(run: Run) -> None:
    run("init", "--site", "mine")
    code, out, errors = run("revoke", "nobody")
    assert (code, out, len(errors)) == (1, "", 1)
    assert "nobody" in errors[0]


def test_without_a_role__wrong_usage(run: Run) -> None:
    assert run("issue", "console-1")[0] == 2

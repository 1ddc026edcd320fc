"""What may be said of a vault, and what may not: refused before anything is touched."""

import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from app import pki
from app.connectors import REGISTRY
from app.connectors.azure_key_vault import AzureKeyVaultTarget, AzureOptions
from app.connectors.azure_key_vault.connector import AzureKeyVault
from app.deployment.model import Target
from tests.certificates import NOW, Authority
from tests.conftest import shown
from tests.connectors.azure_key_vault.playground import VAULT, Playground

GOOD_URLS = {
    "https://my-vault.vault.azure.net": VAULT,
    "https://my-vault.vault.azure.net/": VAULT,
    "https://MY-Vault.Vault.Azure.NET/": VAULT,
    "HTTPS://my-vault.vault.azure.net": VAULT,
    "https://my-vault.vault.usgovcloudapi.net": "https://my-vault.vault.usgovcloudapi.net",
    "https://my-vault.vault.azure.cn": "https://my-vault.vault.azure.cn",
    "https://abc.vault.azure.net": "https://abc.vault.azure.net",
    "https://a1b2.vault.azure.net": "https://a1b2.vault.azure.net",
    f"https://{'a' * 24}.vault.azure.net": f"https://{'a' * 24}.vault.azure.net",
    "https://a-b-c-d-e-f-g-h-i-j-k-l0.vault.azure.net": (
        "https://a-b-c-d-e-f-g-h-i-j-k-l0.vault.azure.net"
    ),
}
BAD_URLS = [
    "",
    " ",
    "my-vault",
    "my-vault.vault.azure.net",
    "http://my-vault.vault.azure.net",
    "ftp://my-vault.vault.azure.net",
    "//my-vault.vault.azure.net",
    "https:/my-vault.vault.azure.net",
    "https://my-vault.vault.azure.net:443",
    "https://my-vault.vault.azure.net:8443",
    "https://my-vault.vault.azure.net/certificates",
    "https://my-vault.vault.azure.net//",
    "https://my-vault.vault.azure.net/?api-version=7.4",
    "https://my-vault.vault.azure.net?",
    "https://my-vault.vault.azure.net#x",
    "https://user@my-vault.vault.azure.net",
    "https://user:word@my-vault.vault.azure.net",
    "https://evil.example@my-vault.vault.azure.net",
    "https://my-vault.vault.azure.net@evil.example",
    "https://my-vault.vault.azure.net.evil.example",
    "https://evil.example/my-vault.vault.azure.net",
    "https://my-vault.vault.azure.net\\@evil.example",
    "https://my-vault.vault.azure.net.",
    "https://my-vault.vault.azure.com",
    "https://my-vault.vault.azure.de",
    "https://my-vault.privatelink.vaultcore.azure.net",
    "https://my.vault.vault.azure.net",
    "https://vault.azure.net",
    "https://.vault.azure.net",
    "https://ab.vault.azure.net",
    f"https://{'a' * 25}.vault.azure.net",
    "https://1abc.vault.azure.net",
    "https://-abc.vault.azure.net",
    "https://abc-.vault.azure.net",
    "https://a--b.vault.azure.net",
    "https://xn--mnchen-3ya.vault.azure.net",
    "https://my_vault.vault.azure.net",
    "https://my%2dvault.vault.azure.net",
    "https://my-vault.vault.azure.net\n",
    "\nhttps://my-vault.vault.azure.net",
    " https://my-vault.vault.azure.net",
    "https://my-vault.vault.azure.net ",
    "https://my-vault\x00.vault.azure.net",
    "https://münchen.vault.azure.net",
    "https://my-vault.vault.аzure.net",  # noqa: RUF001 - a Cyrillic a
    "https://mу-vault.vault.azure.net",  # noqa: RUF001 - a Cyrillic u that looks like y
    "https://\u212aey-vault.vault.azure.net",  # the Kelvin sign folds to k
    "https://my\u017fecrets.vault.azure.net",  # the long s folds to s
    "http\u017f://my-vault.vault.azure.net",
    "https://m\u0131-vault.vault.azure.net",  # the i without a dot
    "https://my-vault.vault.u\u017fgovcloudapi.net",
    "https://my-vault。vault。azure。net",
    "https://my‐vault.vault.azure.net",  # noqa: RUF001 - a typographic hyphen
    "https://\uff4d\uff59-vault.vault.azure.net",  # full-width letters
    "https://m٣-vault.vault.azure.net",  # an Arabic digit
]


def check(**config: Any) -> AzureKeyVaultTarget:  # noqa: ANN401 - as callers write it
    return AzureKeyVaultTarget.model_validate(
        {"vault_url": VAULT, "certificate_name": "api-prod", **config}
    )


def codes(**config: Any) -> dict[str, str]:  # noqa: ANN401 - as callers write it
    """The faults of a configuration: field → code."""
    with pytest.raises(ValidationError) as refused:
        check(**config)
    return {str(one["loc"][0]): one["type"] for one in refused.value.errors()}


@pytest.mark.parametrize(("url", "normal"), GOOD_URLS.items(), ids=shown)
def test_a_vault_url_is_taken_and_normalised(url: str, normal: str) -> None:
    assert check(vault_url=url).vault_url == normal


@pytest.mark.parametrize("url", BAD_URLS, ids=ascii)
def test_what_is_not_exactly_a_vault_url_is_refused(url: str) -> None:
    assert codes(vault_url=url) == {"vault_url": "vault-url-invalid"}


def test_a_long_url_is_refused_quickly() -> None:
    assert codes(vault_url="https://" + "a-" * 50_000) == {"vault_url": "vault-url-invalid"}


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://my-vault.vault.azure.net", "login.microsoftonline.com"),
        ("https://my-vault.vault.usgovcloudapi.net", "login.microsoftonline.us"),
        ("https://my-vault.vault.azure.cn/", "login.chinacloudapi.cn"),
    ],
)
def test_each_cloud_has_its_login_service(url: str, authority: str) -> None:
    assert check(vault_url=url).place.authority == authority


@pytest.mark.parametrize("name", ["a", "0", "API-Prod-01", "a" * 127, "import", "versions", "-"])
def test_a_certificate_name_is_taken_as_it_is(name: str) -> None:
    assert check(certificate_name=name).certificate_name == name


@pytest.mark.parametrize(
    "name",
    ["", "a" * 128, "a b", "a/b", "../x", "a.b", "a_b", "é", "a\n", "a%2Fb", "a?b", "a\u212a"],
)
def test_a_certificate_name_key_vault_does_not_take_is_refused(name: str) -> None:
    assert codes(certificate_name=name) == {"certificate_name": "certificate-name-invalid"}


@pytest.mark.parametrize("name", ["contacts", "issuers", "restore", "Contacts"])
def test_a_word_that_is_a_path_of_key_vault_is_refused(name: str) -> None:
    assert codes(certificate_name=name) == {"certificate_name": "certificate-name-reserved"}


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"certctl-managed-by": "me"}, "tag-reserved"),
        ({"certctl-certificate-id": "me"}, "tag-reserved"),
        ({"CERTCTL-x": "me"}, "tag-reserved"),
        ({"certctl-": "me"}, "tag-reserved"),
        ({f"t{number}": "v" for number in range(13)}, "too-many-tags"),
        ({"": "v"}, "tag-length"),
        ({"k" * 257: "v"}, "tag-length"),
        ({"a": "v" * 257}, "tag-length"),
        ({"k": 1}, "string_type"),
        ({"k": None}, "string_type"),
        (["k"], "dict_type"),
        (None, "dict_type"),
    ],
    ids=lambda value: shown(value)[:24],
)
def test_tags_beyond_the_limits_are_refused(tags: object, code: str) -> None:
    assert codes(tags=tags) == {"tags": code}


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"certctl-x": "v"}, "Tags that begin with certctl- are set by this service."),
        (
            {f"t{number}": "v" for number in range(13)},
            "Key Vault keeps 15 tags, and three are ours: send 12 at the most.",
        ),
        ({"": "v"}, "A tag's name is 1-256 characters, its value at most 256."),
    ],
    ids=["reserved", "too-many", "length"],
)
def test_a_refusal_of_tags_says_what_may_be_sent(tags: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check(tags=tags)

    assert [one["msg"] for one in refused.value.errors()] == [said]


@pytest.mark.parametrize(
    "tags",
    [{}, {"k" * 256: "v" * 256}, {"k": ""}, {f"t{n}": "v" for n in range(12)}, {"certctl": "x"}],
    ids=["none", "longest", "empty-value", "twelve", "nearly-reserved"],
)
def test_tags_within_the_limits_are_taken(tags: dict[str, str]) -> None:
    assert check(tags=tags).tags == tags


@pytest.mark.parametrize(
    "mode", ["default", "managed_identity", "client_secret", "workload_identity"]
)
def test_a_credential_mode_is_taken(mode: str) -> None:
    assert check(credential_mode=mode).credential_mode == mode


@pytest.mark.parametrize("mode", ["", "Default", "secret", None, 1])
def test_another_credential_mode_is_refused(mode: object) -> None:
    assert codes(credential_mode=mode) == {"credential_mode": "enum"}


@pytest.mark.parametrize(
    "field", ["client_secret", "tenant_id", "client_id", "password", "timeout", "vaultUrl"]
)
def test_a_field_that_is_not_one_of_the_four_is_refused(field: str) -> None:
    assert codes(**{field: "x"}) == {field: "extra_forbidden"}


def test_all_faults_are_told_at_once() -> None:
    assert codes(vault_url="x", certificate_name="", tags={"": ""}, credential_mode="x", a=1) == {
        "vault_url": "vault-url-invalid",
        "certificate_name": "certificate-name-invalid",
        "tags": "tag-length",
        "credential_mode": "enum",
        "a": "extra_forbidden",
    }


def test_the_url_and_the_name_are_required() -> None:
    with pytest.raises(ValidationError) as refused:
        AzureKeyVaultTarget.model_validate({})

    assert {(one["loc"][0], one["type"]) for one in refused.value.errors()} == {
        ("vault_url", "missing"),
        ("certificate_name", "missing"),
    }


async def test_names_that_differ_in_case_are_one_target(play: Playground) -> None:
    first = play.target(vault_url="https://My-Vault.vault.azure.net/", certificate_name="API")

    assert first.address == play.target(certificate_name="api").address
    assert first.config["certificate_name"] == "API"
    assert first.config["vault_url"] == VAULT


def test_the_schema_names_exactly_four_fields() -> None:
    schema = REGISTRY["AzureKeyVault"].config.model_json_schema()

    assert set(schema["properties"]) == {
        "vault_url",
        "certificate_name",
        "tags",
        "credential_mode",
    }
    assert schema["required"] == ["vault_url", "certificate_name"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        (("*",), True),
        (("my-vault",), True),
        (("MY-*",), True),
        (("my-vault.vault.azure.net",), True),
        (("*.vault.azure.net",), True),
        (("my-vaul?",), True),
        (("other", "my-vault"), True),
        ((), False),
        (("other",), False),
        (("*.vault.azure.cn",), False),
        (("my",), False),
        (("vault",), False),
        (("https://my-vault.vault.azure.net",), False),
    ],
)
def test_an_operator_names_the_vaults_that_may_be_deployed_to(
    patterns: tuple[str, ...],
    allowed: bool,  # noqa: FBT001 - a column of a table
) -> None:
    assert AzureOptions(allowed_vaults=patterns).allows(VAULT) is allowed


def test_a_vault_is_counted_with_its_subscription_and_the_others_together() -> None:
    options = AzureOptions(subscriptions={"my-*": "first", "*.azure.cn": "second", "*-x": "third"})

    names = ("my-x", "our-vault")
    found = [options.subscription(f"https://{name}.vault.azure.net") for name in names]
    assert found == ["first", ""]
    assert options.subscription("https://our-vault.vault.azure.cn") == "second"


def _connector(**options: Any) -> AzureKeyVault:  # noqa: ANN401 - the fields of AzureOptions
    made = REGISTRY["AzureKeyVault"].build(
        AzureOptions(**options), environment={}, counted=lambda *_: None, now=lambda: NOW
    )
    assert isinstance(made, AzureKeyVault)
    return made


def test_a_target_is_its_kind_what_was_said_normalised_and_an_address_that_knows_no_case() -> None:
    said = {"vault_url": "HTTPS://MY-Vault.vault.azure.net/", "certificate_name": "Api-Prod"}

    assert _connector().target({**said, "tags": {"env": "test"}}) == Target(
        type="AzureKeyVault",
        config={
            "vault_url": VAULT,
            "certificate_name": "Api-Prod",
            "tags": {"env": "test"},
            "credential_mode": "default",
        },
        address=f"{VAULT}/certificates/api-prod",
    )


def test_what_the_operator_or_key_vault_forbids_is_told_before_anything_is_sent(
    ca: Authority,
) -> None:
    connector = _connector(allowed_vaults=("other",))
    target = connector.target({"vault_url": VAULT, "certificate_name": "api"})
    bundle = ca.issue().bundle()

    faults = connector.faults(target, bundle, {"certificate_id": "x" * 257})

    assert [one.code for one in faults] == ["vault-not-allowed", "certificate-id-too-long"]
    assert connector.faults(target, None, {})[0].field == "target_config.vault_url"


def test_the_longest_id_that_fits_a_tag_is_taken() -> None:
    connector = _connector()
    target = connector.target({"vault_url": VAULT, "certificate_name": "api"})

    assert connector.faults(target, None, {"certificate_id": "x" * 256}) == ()


@pytest.mark.parametrize(("names", "faults"), [(1, []), (450, []), (900, ["bundle-too-large"])])
def test_a_pfx_that_key_vault_could_not_keep_is_refused(
    ca: Authority, names: int, faults: list[str]
) -> None:
    connector = _connector()
    target = connector.target({"vault_url": VAULT, "certificate_name": "api"})
    many = [f"host-{number}.a-rather-long-domain.test" for number in range(names)]
    issued = ca.intermediate.issue(names=many)
    assert isinstance(issued.key, ec.EllipticCurvePrivateKey)
    bundle = pki.Bundle(issued.leaf, issued.chain, issued.key)

    assert [one.code for one in connector.faults(target, bundle, {})] == faults


@pytest.mark.parametrize(
    "address",
    ["localhost", "localhost:", ":443", "a b:1", "[::1]:443", "h:x"],
    ids=shown,
)
def test_an_address_to_connect_to_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ValidationError):
        AzureOptions(connect_to=address)


def test_a_connector_opens_nothing_when_it_is_made() -> None:
    connector = _connector()

    assert connector.type == "AzureKeyVault"
    assert re.fullmatch("[A-Za-z]+", connector.type)

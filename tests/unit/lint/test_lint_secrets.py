import pytest

from promptship.prompts.lint.personal import contacts_in, iban_valid, luhn, personal_numbers_in
from promptship.prompts.lint.secrets import masked, secrets_in

# Put together at run time, so that scanners of this repository stay quiet.
RANDOM = "q7Zr2Xk9Lm4Vw8Tb1Nc6Yd3H"
SECRETS = {
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "an AWS access key id": "AKIA" + "IOSFODNN7QXRTMPLE"[:16],
    "a GitHub token": "ghp_" + (RANDOM * 2)[:36],
    "a GitLab token": "glpat-" + RANDOM,
    "a Slack token": "xoxb-" + "123456789012-" + RANDOM,
    "a Slack webhook": "https://hooks.slack.com/services/T0" + "A1B2C3/B0A1B2C3/" + RANDOM,
    "an Anthropic API key": "sk-ant-" + "api03-" + RANDOM,
    "an OpenAI API key": "sk-proj-" + RANDOM,
    "a Google API key": "AIza" + (RANDOM * 2)[:35],
    "a Stripe key": "sk_live_" + RANDOM,
    "a JSON Web Token": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + RANDOM,
    "a password in a URL": "postgres://app:" + "s3cretpw@db.internal/app",
    "a secret assigned in plain text": "db_password: " + RANDOM,
}
HARMLESS = [
    "max_tokens: 1024",
    "api_key: your-api-key-goes-here-1",
    "api_key_env: OPENAI_API_KEY",
    "password: {{ password_from_the_user_1 }}",
    "token = aaaaaaaaaaaaaaaaaaaaaaa1",
    "the secret of good writing: simplicity",
    "use sk-learn-style-naming-for-modules",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "postgres://user:<password>@host/db",
    "https://example.com/a:b@c",
    "sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "-----BEGIN PUBLIC KEY-----",
    "token: the_customers_language_of_choice",
    "password: hunter2hunter2hunter2",
]


@pytest.mark.parametrize(("kind", "text"), SECRETS.items())
def test_a_secret_is_found_by_its_kind_and_masked(kind: str, text: str) -> None:
    line = f"  note: {text} and more"
    (hit,) = secrets_in(line)
    assert hit.kind == kind
    assert line[hit.start : hit.end] in text
    assert line[hit.start : hit.end] not in masked(line, (hit,))
    assert len(masked(line, (hit,))) == len(line)


@pytest.mark.parametrize("line", HARMLESS)
def test_what_only_looks_like_a_secret_is_left_alone(line: str) -> None:
    assert secrets_in(line) == ()


def test_two_secrets_in_a_line_are_two_hits_and_one_secret_is_one() -> None:
    one = "api_key: " + SECRETS["an OpenAI API key"]
    assert [hit.kind for hit in secrets_in(one)] == ["an OpenAI API key"]
    assert len(secrets_in(f"{one} {SECRETS['a GitHub token']}")) == 2


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("card 4111 1111 1111 1111 ok", "a payment card number"),
        ("card 5500-0000-0000-0004", "a payment card number"),
        ("amex 378282246310005.", "a payment card number"),
        ("pay to DE89 3704 0044 0532 0130 00 please", "an IBAN"),
        ("GB82WEST12345698765432", "an IBAN"),
        ("ssn 123-45-6789", "a US social security number"),
    ],
)
def test_a_personal_number_is_found(line: str, kind: str) -> None:
    assert [hit.kind for hit in personal_numbers_in(line)] == [kind]


@pytest.mark.parametrize(
    "line",
    [
        "card 4111 1111 1111 1112",
        "order 1234567890123456",
        "at 1763821253000 ms",
        "DE89 3704 0044 0532 0130 01",
        "DE89 3704 0044 0532 0130",
        "XX89 3704 0044 0532 0130 00",
        "000-45-6789 666-45-6789 900-45-6789 123-00-6789 123-45-0000",
        "0000000000000000",
        "2026-11-22T14:25:00",
        "4111111111111111.5",
    ],
)
def test_a_number_without_valid_check_digits_or_shape_is_left_alone(line: str) -> None:
    assert personal_numbers_in(line) == ()


@pytest.mark.parametrize(
    "line",
    ["ask jane.doe@acme-corp.com", "call +49 30 1234567", "call (415) 867-5309", "call 415-867-5309 now"],
)
def test_a_persons_contact_is_found(line: str) -> None:
    assert len(contacts_in(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "support@acme.com",
        "no-reply+eu@acme.com",
        "jane@example.com jane@mail.example.org jane@corp.test",
        "call 1-800-555-0199 or +1 800 867 5309",
        "call (415) 555-0100",
        "version 415.867.5309",
        "id 415-867-53090",
        "+1",
    ],
)
def test_a_public_contact_is_left_alone(line: str) -> None:
    assert contacts_in(line) == ()


def test_the_owners_own_address_is_meant_to_be_there() -> None:
    line = "owner: Jane.Doe@acme.com"
    assert len(contacts_in(line)) == 1
    assert contacts_in(line, allowed="jane.doe@acme.com") == ()


def test_check_digits_agree_with_known_numbers() -> None:
    assert luhn("79927398713")
    assert not luhn("79927398710")
    assert iban_valid("FR1420041010050500013M02606")
    assert not iban_valid("FR1420041010050500013M02607")

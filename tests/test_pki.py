"""Certificates: what is read, what is trusted and what is issued."""

import base64
import contextlib
import ipaddress
import re
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pki
from certs import reading

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


def key_usage(*wanted):
    flags = {usage: usage in wanted for usage in USAGES}
    return x509.KeyUsage(**flags, encipher_only=False, decipher_only=False)


CA_USAGE = key_usage("digital_signature", "key_cert_sign", "crl_sign")


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Made:
    """A certificate made for a test, with its key and the one that issued it."""

    def __init__(self, cn, issuer=None, *, key=None, days=(-1, 30), extensions=(), signer=None, digest=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = name(cn)
        by = issuer or self
        start, end = (NOW + DAY * d for d in days)
        builder = x509.CertificateBuilder(
            by.name, self.name, self.key.public_key(), x509.random_serial_number(), start, end
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        signer = signer or by.key
        is_edwards = isinstance(signer, ed25519.Ed25519PrivateKey)
        self.raw = builder.sign(signer, None if is_edwards else digest or hashes.SHA256())
        self.cert = pki.Cert.from_x509(self.raw)


def ca(cn, issuer=None, *, path_length=None, usage=CA_USAGE, extra=(), **options):
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    extensions = [(constraints, True), *([(usage, True)] if usage else []), *extra]
    return Made(cn, issuer, extensions=extensions, **options)


def check(leaf, intermediates, anchors, **options):
    found = pki.verify_chain(leaf.cert, [m.cert for m in intermediates], [m.cert for m in anchors], now=NOW, **options)
    return [cert.common_name for cert in found]


def refusal(leaf, intermediates, anchors, **options):
    with pytest.raises(pki.Untrusted) as caught:
        check(leaf, intermediates, anchors, **options)
    return caught.value.reason


def request(key=None, subject=None, names=(), digest=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("client") if subject is None else subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    is_edwards = isinstance(key, ed25519.Ed25519PrivateKey)
    return builder.sign(key, None if is_edwards else digest or hashes.SHA256())


def as_pem(obj):
    return obj.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def openssl(*args, cwd=None, text=None):
    done = subprocess.run(
        ["openssl", *map(str, args)], cwd=cwd, input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def opened(folder, now=NOW, **options):
    return pki.Authority.open(folder, pki.PkiOptions(**options), clock=lambda: now)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pki") / "keys"


@pytest.fixture(scope="module")
def authority(folder):
    return opened(folder, trust_domain="example.test", addresses=("ctrl.example.test", "192.0.2.7"))


@pytest.fixture(scope="module")
def root():
    return ca("root")


@pytest.fixture(scope="module")
def middle(root):
    return ca("middle", root)


def test_facts_of_a_certificate():
    san = x509.SubjectAlternativeName(
        [
            x509.DNSName("a.test"),
            x509.RFC822Name("a@a.test"),
            x509.UniformResourceIdentifier("spiffe://a/b"),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    made = Made("box-7", extensions=[(san, False)])
    cert = made.cert
    spki = made.key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(hashes.SHA1())
    digest.update(spki)
    assert cert.public_key_print == digest.finalize().hex()
    assert cert.fingerprint == made.raw.fingerprint(hashes.SHA1()).hex()
    assert (cert.subject, cert.issuer, cert.common_name) == ("CN=box-7", "CN=box-7", "box-7")
    assert (cert.emails, cert.uris, cert.dns_names) == (["a@a.test"], ["spiffe://a/b"], ["a.test"])
    assert cert.ip_addresses == ["::1"]
    assert (cert.not_before, cert.not_after) == (NOW - DAY, NOW + 30 * DAY)
    assert (cert.serial, cert.is_ca, cert.is_self_signed) == (made.raw.serial_number, False, True)
    assert cert.pem == as_pem(made.raw)
    assert cert.pem.endswith("-----END CERTIFICATE-----\n")
    assert cert == pki.load_cert(cert.der)
    assert len({cert, pki.load_cert(cert.pem)}) == 1


def test_bundle_with_text_crlf_and_other_blocks(root, middle):
    text = f"Subject: x\n{key_pem(root.key)}hello\n{middle.cert.pem}\n\nbye\n{root.cert.pem}end ünd".replace(
        "\n", "\r\n"
    )
    assert pki.load_certs(text) == pki.load_certs(text.encode()) == [middle.cert, root.cert]
    assert pki.load_cert(text) == middle.cert


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        ("garbage", "no-pem", "no PEM"),
        ("", "no-pem", "no PEM"),
        (b"", "no-pem", "no PEM"),
        ("-----BEGIN CERTIFICATE-----\nMIIB", "no-pem", "no PEM"),
        (as_pem(request()), "wrong-type", "encountered PEM block type CERTIFICATE REQUEST"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "der", "malformed certificate"),
        ("-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n", "der", "malformed certificate"),
        (b"\x30\x03\x02\x01\x01", "der", "malformed certificate"),
    ],
)
def test_bad_certificates_are_told_apart(data, kind, text):
    with pytest.raises(pki.BadCertificate, match=text) as caught:
        pki.load_certs(data)
    assert caught.value.kind == kind


def test_leaf_is_found_in_any_order(root, middle):
    leaf = Made("leaf", middle)
    for order in ([root, middle, leaf], [leaf, root, middle], [middle, leaf, root]):
        assert pki.find_leaf([m.cert for m in order]) == leaf.cert
    assert pki.find_leaf([root.cert]) == root.cert
    with pytest.raises(pki.BadCertificate):
        pki.find_leaf([])


def test_leaf_that_has_the_name_of_its_issuer(root):
    leaf = Made("root", root)
    assert pki.find_leaf([root.cert, leaf.cert]) == leaf.cert


KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
def test_requests_of_every_key_kind_get_certificates(authority, kind):
    key = KEYS[kind]()
    csr = pki.load_csr(as_pem(request(key)))
    cert = authority.issue_identity(csr, "id-1")
    assert (csr.common_name, csr.subject) == ("client", "CN=client")
    assert csr.public_key_print == cert.public_key_print
    assert pki.verify_chain(cert, [], authority.bundle, now=NOW)[0] == cert


def with_null_parameters(csr, key):
    """The request as mbedTLS writes it: NULL parameters after the outer ECDSA algorithm."""
    info = csr.tbs_certrequest_bytes
    algorithm = bytes.fromhex("300c06082a8648ce3d0403020500")
    signature = b"\x00" + key.sign(info, ec.ECDSA(hashes.SHA256()))
    body = info + algorithm + bytes([3, len(signature)]) + signature
    return bytes([0x30, 0x82]) + len(body).to_bytes(2, "big") + body


def test_request_with_null_parameters_is_read():
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "x" * 60), x509.NameAttribute(NameOID.LOCALITY_NAME, "y" * 40)]
    )
    der = with_null_parameters(request(key, subject), key)
    with pytest.raises(ValueError, match="parsing"):
        x509.load_der_x509_csr(der)
    assert pki.load_csr(der).common_name == "x" * 60


def test_null_parameters_do_not_excuse_a_wrong_signature():
    csr = request()
    der = with_null_parameters(csr, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(pki.BadCsr) as caught:
        pki.load_csr(der)
    assert caught.value.kind == "signature"


def spoiled(csr):
    der = bytearray(csr.public_bytes(serialization.Encoding.DER))
    der[-3] ^= 0xFF
    return bytes(der)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("garbage", "no-pem"),
        (Made("x").cert.pem, "wrong-type"),
        (as_pem(request()) + Made("x").cert.pem, "extra"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "der"),
        (spoiled(request()), "signature"),
        (request(ec.generate_private_key(ec.SECP256K1())).public_bytes(serialization.Encoding.DER), "key"),
    ],
)
def test_bad_requests_are_told_apart(data, kind):
    with pytest.raises(pki.BadCsr) as caught:
        pki.load_csr(data)
    assert caught.value.kind == kind


def csr_with_broken_extensions(key):
    """A request whose extension list is an INTEGER."""
    plain = request(key)
    info = plain.tbs_certrequest_bytes
    attribute = bytes.fromhex("301106092a864886f70d01090e31040402ffff")
    assert info.endswith(b"\xa0\x00")
    inner = (
        info[4 if info[1] == 0x82 else 3 if info[1] == 0x81 else 2 : -2] + b"\xa0" + bytes([len(attribute)]) + attribute
    )
    tbs = reading._sequence(inner)
    signature = b"\x00" + key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    return reading._sequence(tbs + algorithm + bytes([3, len(signature)]) + signature)


def test_broken_extensions_matter_only_where_names_are_asked_for(authority):
    csr = pki.load_csr(csr_with_broken_extensions(ec.generate_private_key(ec.SECP256R1())))
    assert authority.issue_identity(csr, "id").common_name == "client"
    with pytest.raises(pki.BadCsr) as caught:
        authority.issue_router(pki.load_csr(as_pem(request(subject=name("r")))), csr, "r")
    assert caught.value.kind == "extensions"


SAMPLES = [
    request().public_bytes(serialization.Encoding.DER),
    with_null_parameters(request(), ec.generate_private_key(ec.SECP256R1())),
    Made("sample", extensions=[(x509.BasicConstraints(ca=True, path_length=1), True)]).cert.der,
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sample=st.sampled_from(SAMPLES),
    changes=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 900),
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_damaged_der_only_raises_our_errors(sample, changes, cut):
    changed = bytearray(sample)
    for at, value in changes:
        changed[at % len(changed)] = value
    data = bytes(changed[: max(1, cut % len(changed))] if cut % 3 == 0 else changed)
    for load in (pki.load_certs, pki.load_csr):
        for form in (
            data,
            f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(data).decode()}\n-----END CERTIFICATE-----",
        ):
            with contextlib.suppress(pki.PkiError):
                load(form)


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(["-----BEGIN ", "-----END ", "CERTIFICATE", "-----", "\n", "\r\n", "AAAA", "=", "ü", "\0"])
        | st.text(max_size=5),
        max_size=30,
    ).map("".join)
)
def test_odd_text_only_raises_our_errors(text):
    for load in (pki.load_certs, pki.load_csr):
        for form in (text, text.encode()):
            with contextlib.suppress(pki.PkiError):
                load(form)


def test_chain_through_intermediates_in_any_order(root, middle):
    low = ca("low", middle)
    leaf = Made("leaf", low)
    stray = ca("stray")
    for order in ([low, middle], [middle, low], [root, stray, middle, low, leaf]):
        assert check(leaf, order, [root]) == ["leaf", "low", "middle", "root"]


def test_anchor_may_be_an_intermediate_and_the_leaf_itself(root, middle):
    leaf = Made("leaf", middle)
    assert check(leaf, [], [middle]) == ["leaf", "middle"]
    assert check(leaf, [root], [middle, root]) == ["leaf", "middle"]
    assert check(root, [], [root]) == ["root"]


def test_missing_intermediate_is_named(root, middle):
    leaf = Made("box-7", middle)
    assert refusal(leaf, [], [root]) == (
        "certificate CN=box-7 is issued by CN=middle, which is not among the trusted "
        "certificates and was not sent along"
    )


def test_strangers_are_refused(root):
    assert "self-signed and not among" in refusal(Made("box"), [], [root])
    impostor = Made("box", root, signer=ec.generate_private_key(ec.SECP256R1()))
    assert "was not signed by that key" in refusal(impostor, [], [root])
    assert "not among" in refusal(Made("box", ca("other")), [], [])


def test_namesake_of_the_anchor_does_not_hide_it(root):
    namesake = ca("root")
    leaf = Made("leaf", root)
    assert check(leaf, [namesake], [root]) == check(leaf, [], [namesake, root]) == ["leaf", "root"]


def test_dates_of_the_leaf_count_when_asked(root):
    old, young = Made("old", root, days=(-9, -1)), Made("young", root, days=(1, 9))
    assert refusal(old, [], [root]) == f"certificate CN=old expired on {NOW - DAY:%Y-%m-%d %H:%M:%S} UTC"
    assert "is not valid before" in refusal(young, [], [root])
    assert check(old, [], [root], check_expiry=False) == ["old", "root"]


def test_dates_of_authorities_always_count(root):
    old_root, old_middle = ca("old", days=(-9, -1)), ca("old-middle", root, days=(-9, -1))
    assert "CN=old expired on" in refusal(Made("x", old_root), [], [old_root], check_expiry=False)
    assert "CN=old-middle expired" in refusal(Made("x", old_middle), [old_middle], [root])


@pytest.mark.parametrize(
    ("purposes", "usage", "ok"),
    [
        ([CLIENT], "client", True),
        ([SERVER, CLIENT], "client", True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], "client", True),
        ([SERVER], "client", False),
        ([SERVER], "any", True),
        ([SERVER], None, True),
    ],
)
def test_extended_key_usage(root, purposes, usage, ok):
    leaf = Made("box", root, extensions=[(x509.ExtendedKeyUsage(purposes), False)])
    if ok:
        assert check(leaf, [], [root], usage=usage) == ["box", "root"]
    else:
        assert "does not allow client authentication" in refusal(leaf, [], [root], usage=usage)


def test_purpose_of_an_authority_limits_its_leaves(root):
    servers = ca("servers", root, extra=[(x509.ExtendedKeyUsage([SERVER]), False)])
    assert "CN=servers: its extended key usage" in refusal(Made("x", servers), [servers], [root])


def test_only_authorities_issue(root):
    leaf = Made("leaf", root)
    no_sign = ca("no-sign", root, usage=key_usage("digital_signature"))
    plain_ca = ca("no-usage", root, usage=None)
    assert "is not a CA" in refusal(Made("x", leaf), [leaf], [root])
    assert "key usage of CN=no-sign" in refusal(Made("x", no_sign), [no_sign], [root])
    assert check(Made("x", plain_ca), [plain_ca], [root]) == ["x", "no-usage", "root"]


def test_path_length(root):
    short = ca("short", root, path_length=0)
    below = ca("below", short)
    assert check(Made("x", short), [short], [root]) == ["x", "short", "root"]
    assert "does not allow 1 CAs below" in refusal(Made("x", below), [below, short], [root])


def test_unknown_critical_extensions_and_name_constraints_are_refused(root):
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    constraint = x509.NameConstraints([x509.DNSName("a.test")], None)
    limited = ca("limited", root, extra=[(constraint, False)])
    assert "1.2.3.4" in refusal(Made("x", root, extensions=[(strange, True)]), [], [root])
    assert check(Made("x", root, extensions=[(strange, False)]), [], [root]) == ["x", "root"]
    assert "not supported" in refusal(Made("x", limited), [limited], [root])


def test_loops_and_large_bundles_end(root):
    one, two = ca("one"), ca("two")
    ring = [ca("one", two, key=one.key), ca("two", one, key=two.key)]
    assert refusal(Made("x", one), ring, [root])
    twins = [ca("twin", key=one.key, signer=one.key) for _ in range(50)]
    assert refusal(Made("x", twins[0], signer=one.key), twins, [root])
    assert pki.find_leaf([m.cert for m in twins])


def test_very_long_chain_is_followed(root):
    chain = [root]
    for depth in range(48):
        chain.append(ca(f"ca-{depth}", chain[-1]))
    assert len(check(Made("leaf", chain[-1]), list(reversed(chain[1:])), [root])) == 50


@pytest.fixture(scope="module", params=["rsa", "ec", "ed25519"])
def shop(request, tmp_path_factory):
    """A folder with a CA made by openssl, of one key kind."""
    path = tmp_path_factory.mktemp(request.param)
    new = {"rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}
    for key in ("ca", "leaf"):
        openssl("genpkey", "-algorithm", *new.get(request.param, ["ED25519"]), "-out", f"{key}.key", cwd=path)
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=shop", "-days", "9", "-out", "ca.pem", cwd=path)
    openssl("req", "-new", "-key", "leaf.key", "-subj", "/CN=box", "-out", "leaf.csr", cwd=path)
    return path


def openssl_leaf(shop, extensions=None, ca_name="ca"):
    """Sign leaf.csr; without an extension file openssl 3.0 writes a version 1 certificate."""
    options = []
    if extensions is not None:
        (shop / "ext").write_text(extensions)
        options = ["-extfile", "ext"]
    openssl(
        "x509", "-req", "-in", "leaf.csr", "-CA", f"{ca_name}.pem", "-CAkey", f"{ca_name}.key",
        "-set_serial", "7", "-days", "5", "-out", "leaf.pem", *options, cwd=shop,
    )  # fmt: skip
    return pki.load_cert((shop / "leaf.pem").read_bytes())


@pytest.mark.parametrize(
    ("extensions", "ok"),
    [
        (None, True),
        ("subjectKeyIdentifier=none\nauthorityKeyIdentifier=none\n", True),
        ("extendedKeyUsage=clientAuth\n", True),
        ("basicConstraints=CA:false\nkeyUsage=digitalSignature\n", True),
        ("subjectAltName=email:a@b.test,URI:spiffe://x/y\n", True),
        ("extendedKeyUsage=serverAuth\n", False),
    ],
)
def test_leaves_of_a_plain_openssl_ca(shop, extensions, ok):
    leaf = openssl_leaf(shop, extensions)
    anchor = pki.load_cert((shop / "ca.pem").read_text())
    now = datetime.now(UTC)
    if ok:
        assert pki.verify_chain(leaf, [], [anchor], now=now) == [leaf, anchor]
    else:
        with pytest.raises(pki.Untrusted, match="client authentication"):
            pki.verify_chain(leaf, [], [anchor], now=now)
    assert pki.verify_chain(leaf, [], [anchor], now=now, usage=None) == [leaf, anchor]


def test_version_1_certificate(shop):
    (shop / "v1.pem").write_text(
        openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "9", cwd=shop)
    )
    leaf = pki.load_cert((shop / "v1.pem").read_text())
    assert leaf.raw.version == x509.Version.v1
    anchor = pki.load_cert((shop / "ca.pem").read_text())
    assert pki.verify_chain(leaf, [], [anchor], now=datetime.now(UTC)) == [leaf, anchor]


def test_der_file_of_openssl(shop):
    openssl("x509", "-in", "ca.pem", "-outform", "DER", "-out", "ca.der", cwd=shop)
    assert pki.load_certs((shop / "ca.der").read_bytes()) == pki.load_certs((shop / "ca.pem").read_text())


def test_openssl_intermediate_and_csr(shop, authority):
    openssl("req", "-new", "-key", "ca.key", "-subj", "/CN=mid", "-out", "mid.csr", cwd=shop)
    (shop / "ca.ext").write_text("basicConstraints=critical,CA:true,pathlen:0\n")
    openssl(
        "x509", "-req", "-in", "mid.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "3",
        "-extfile", "ca.ext", "-out", "mid.pem", cwd=shop,
    )  # fmt: skip
    (shop / "mid.key").write_text((shop / "ca.key").read_text())
    leaf = openssl_leaf(shop, None, "mid")
    middle, anchor = (pki.load_cert((shop / f"{n}.pem").read_text()) for n in ("mid", "ca"))
    assert pki.verify_chain(leaf, [middle], [anchor], now=datetime.now(UTC)) == [leaf, middle, anchor]
    csr = pki.load_csr((shop / "leaf.csr").read_bytes())
    assert authority.issue_identity(csr, "x").common_name == "box"


def test_sha1_and_small_rsa_signatures(tmp_path):
    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-keyout",
        "ca.key",
        "-subj",
        "/CN=small",
        "-out",
        "ca.pem",
        cwd=tmp_path,
    )
    openssl(
        "req",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-keyout",
        "leaf.key",
        "-subj",
        "/CN=box",
        "-out",
        "leaf.csr",
        cwd=tmp_path,
    )
    for digest in ("sha256", "sha1"):
        openssl(
            "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "3",
            f"-{digest}", "-out", f"{digest}.pem", cwd=tmp_path,
        )  # fmt: skip
    anchor = pki.load_cert((tmp_path / "ca.pem").read_text())
    good, weak = (pki.load_cert((tmp_path / f"{d}.pem").read_text()) for d in ("sha256", "sha1"))
    assert pki.verify_chain(good, [], [anchor], now=datetime.now(UTC)) == [good, anchor]
    with pytest.raises(pki.Untrusted, match="MD5 or SHA-1"):
        pki.verify_chain(weak, [], [anchor], now=datetime.now(UTC))


def test_files_are_private_and_kept(folder, authority):
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()}
    assert modes == {
        f"{n}.{kind}": mode
        for n in ("root", "intermediate", "server")
        for kind, mode in (("key", 0o600), ("cert", 0o644))
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    again = opened(folder, addresses=("ctrl.example.test", "192.0.2.7"))
    assert again.server_chain == authority.server_chain
    assert again.trust_domain == "example.test"


def test_bundle_chain_and_pkcs7(authority):
    issuing, top = authority.bundle
    assert authority.server_chain == [authority.server_cert, issuing, top]
    assert authority.ca_pem() == f"\n{issuing.pem}\n{top.pem}"
    text = authority.cacerts_pkcs7()
    assert {len(line) for line in text.split("\n")[:-1]} == {64}
    assert not text.endswith("\n")
    found = pkcs7.load_der_pkcs7_certificates(base64.b64decode(text))
    assert {pki.Cert.from_x509(c) for c in found} == {issuing, top}
    assert authority.signing_key().kid == authority.server_cert.fingerprint
    assert authority.signing_key().algorithm == "RS256"


def extensions_of(cert):
    return [(e.oid._name, e.critical) for e in cert.raw.extensions]


def usages_of(cert):
    usage = cert.raw.extensions.get_extension_for_class(x509.KeyUsage).value
    return {n for n in USAGES if getattr(usage, n)}


LEAF_USAGES = {"digital_signature", "key_encipherment", "data_encipherment"}
LEAF_EXTENSIONS = [("keyUsage", True), ("extendedKeyUsage", False), ("authorityKeyIdentifier", False)]


def purposes_of(cert):
    return list(cert.raw.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_profile_of_identities(authority):
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "OpenZiti"),
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "https://c:1280"),
            x509.NameAttribute(NameOID.COMMON_NAME, "client"),
        ]
    )
    csr = pki.load_csr(as_pem(request(subject=subject, names=[x509.DNSName("evil.test")])))
    cert = authority.issue_identity(csr, "wV7INeHdHO")
    assert cert.subject == "CN=client,O=OpenZiti"
    assert cert.issuer == authority.bundle[0].subject
    assert (cert.uris, cert.dns_names) == (["spiffe://example.test/identity/wV7INeHdHO"], [])
    assert extensions_of(cert) == [*LEAF_EXTENSIONS, ("subjectAltName", False)]
    assert (usages_of(cert), purposes_of(cert)) == (LEAF_USAGES, [CLIENT])
    assert (cert.not_before, cert.not_after) == (NOW - timedelta(minutes=1), NOW + 365 * DAY)
    assert cert.serial.bit_length() > 128
    assert authority.issue_identity(csr, "x", lifetime=timedelta(hours=2)).not_after == NOW + timedelta(hours=2)
    assert authority.chain_pem(cert) == cert.pem + authority.bundle[0].pem


def test_empty_subject_makes_the_name_critical(authority):
    csr = pki.load_csr(as_pem(request(subject=x509.Name([]))))
    cert = authority.issue_identity(csr, "x")
    assert (cert.subject, cert.common_name) == ("", "")
    assert extensions_of(cert)[-1] == ("subjectAltName", True)


def test_profile_of_session_certificates(authority):
    csr = pki.load_csr(as_pem(request(subject=name("whatever"))))
    cert = authority.issue_session(csr, "ident", "sess", "certi")
    assert cert.subject == "CN=ident"
    assert cert.uris == ["spiffe://example.test/identity/ident/apiSession/sess/apiSessionCertificate/certi"]
    assert (cert.not_before, cert.not_after) == (NOW, NOW + timedelta(hours=12))
    assert extensions_of(cert) == [*LEAF_EXTENSIONS, ("subjectAltName", False)]


def test_profile_of_routers(authority):
    names = [
        x509.DNSName("er.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.UniformResourceIdentifier("spiffe://x/y"),
    ]
    client, server = (pki.load_csr(as_pem(request(subject=name("r-1"), names=n))) for n in ([], names))
    for_client, for_server = authority.issue_router(client, server, "r-1")
    assert extensions_of(for_client) == LEAF_EXTENSIONS
    assert extensions_of(for_server) == [*LEAF_EXTENSIONS, ("subjectAltName", False)]
    assert (purposes_of(for_client), purposes_of(for_server)) == ([CLIENT], [SERVER])
    assert (for_server.dns_names, for_server.ip_addresses) == (["er.example"], ["127.0.0.1"])
    assert for_server.uris == ["spiffe://x/y"]
    with pytest.raises(pki.BadCsr) as caught:
        authority.issue_router(client, server, "r-2")
    assert caught.value.kind == "common-name"


def test_profile_of_authorities_and_server(authority):
    issuing, top = authority.bundle
    head = [("keyUsage", True), ("basicConstraints", True), ("subjectKeyIdentifier", False)]
    tail = [("authorityKeyIdentifier", False), ("subjectAltName", False)]
    for cert, length in ((issuing, 1), (top, None)):
        assert extensions_of(cert) == head + tail
        assert usages_of(cert) == {"digital_signature", "key_cert_sign", "crl_sign"}
        assert cert.raw.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == length
        assert cert.uris == ["spiffe://example.test"]
    server = authority.server_cert
    assert usages_of(server) == {"digital_signature", "content_commitment", "key_encipherment"}
    assert set(server.dns_names) == {"localhost", "127.0.0.1", "192.0.2.7", "ctrl.example.test"}
    assert set(server.ip_addresses) == {"127.0.0.1", "::1", "192.0.2.7"}
    assert server.uris == ["spiffe://example.test/controller/controller"]


def test_openssl_accepts_what_is_issued_and_refuses_the_rest(authority, tmp_path):
    csr = pki.load_csr(as_pem(request()))
    issuing, top = authority.bundle
    files = {"root": top, "mid": issuing, "id": authority.issue_identity(csr, "x"), "srv": authority.server_cert}
    for file, cert in files.items():
        (tmp_path / file).write_text(cert.pem)
    trust = ["-x509_strict", "-CAfile", "root", "-untrusted", "mid"]
    assert "OK" in openssl("verify", *trust, "-purpose", "sslclient", "id", cwd=tmp_path)
    assert "OK" in openssl("verify", *trust, "-purpose", "sslserver", "-verify_ip", "192.0.2.7", "srv", cwd=tmp_path)
    for wrong in (["-purpose", "sslserver", "id"], ["-verify_hostname", "other.test", "srv"]):
        with pytest.raises(AssertionError):
            openssl("verify", *trust, *wrong, cwd=tmp_path)


def test_tls_handshake_with_issued_certificates(authority, folder, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    cert = authority.issue_identity(pki.load_csr(as_pem(request(key))), "x")
    (tmp_path / "id").write_text(authority.chain_pem(cert) + key_pem(key))
    (tmp_path / "srv").write_text("".join(c.pem for c in authority.server_chain))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "srv", folder / "server.key")
    server.load_verify_locations(cadata=authority.bundle[1].pem)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cadata=authority.bundle[1].pem)
    client.load_cert_chain(tmp_path / "id")
    seen = handshake(server, client, "ctrl.example.test")
    assert pki.load_cert(seen) == cert
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "other.test")
    stranger = ssl.create_default_context(cadata=Made("other").cert.pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, stranger, "ctrl.example.test")


def handshake(server, client, host):
    """Shake hands in memory; the client's certificate as the server saw it (DER)."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(down, up, server_hostname=host)
    there = server.wrap_bio(up, down, server_side=True)
    for _ in range(10):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return there.getpeercert(binary_form=True)


def test_issued_knows_its_own(authority, tmp_path):
    csr = pki.load_csr(as_pem(request()))
    mine = authority.issue_identity(csr, "x")
    other = opened(tmp_path / "other").issue_identity(csr, "x")
    assert authority.issued(mine)
    assert authority.issued(authority.bundle[0])
    assert not authority.issued(other)
    assert not authority.issued(Made("x").cert)


def test_renewal_keeps_the_key(tmp_path):
    authority = opened(tmp_path)
    before = authority.server_cert
    third = before.not_after - timedelta(days=100)
    assert not authority.renew_server_if_needed([], now=NOW)
    assert not authority.renew_server_if_needed(["localhost"], now=NOW)
    assert authority.renew_server_if_needed([], now=third)
    renewed = authority.server_cert
    assert renewed.public_key_print == before.public_key_print
    assert renewed.not_after == third.replace(microsecond=0) + 365 * DAY
    assert authority.signing_key().kid == renewed.fingerprint
    assert authority.tls_material().chain[0] == renewed.raw
    assert opened(tmp_path, third).server_cert == renewed


def test_new_address_means_a_new_certificate(tmp_path):
    authority = opened(tmp_path)
    assert authority.renew_server_if_needed(["new.test"], now=NOW)
    assert "new.test" in authority.server_cert.dns_names
    moved = opened(tmp_path, addresses=("moved.test",))
    assert "moved.test" in moved.server_cert.dns_names
    assert moved.server_cert.public_key_print == authority.server_cert.public_key_print
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("address", ["a b", "https://x", "", "ünd.test"])
def test_bad_address_is_refused(tmp_path, address):
    with pytest.raises(pki.PkiError, match="neither an IP address nor a DNS name"):
        opened(tmp_path, addresses=(address,))


@pytest.mark.parametrize(("kind", "algorithm"), [("P-256", "ES256"), ("P-384", "ES384"), ("RSA-3072", "RS256")])
def test_key_kinds(tmp_path, kind, algorithm):
    authority = opened(tmp_path, ca_key=kind, server_key=kind)
    assert authority.signing_key().algorithm == algorithm
    cert = authority.issue_identity(pki.load_csr(as_pem(request())), "x")
    assert pki.verify_chain(cert, [authority.bundle[0]], [authority.bundle[1]], now=NOW)


def test_root_key_may_be_kept_elsewhere(tmp_path):
    opened(tmp_path)
    (tmp_path / "root.key").unlink()
    assert opened(tmp_path).issue_identity(pki.load_csr(as_pem(request())), "x")


def test_start_cut_short_is_taken_up_again(tmp_path):
    first = opened(tmp_path)
    for file in ("root.cert", "intermediate.cert", "server.cert"):
        (tmp_path / file).unlink()
    again = opened(tmp_path)
    assert again.server_cert.public_key_print == first.server_cert.public_key_print
    assert again.bundle[1].subject == first.bundle[1].subject


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda d: (d / "server.key").unlink(), r"server\.key is missing but server\.cert is there"),
        (lambda d: (d / "intermediate.key").write_text(key_pem(KEYS["P-256"]())), "is not the key of"),
        (lambda d: (d / "server.key").write_text("x"), "does not hold a private key"),
        (lambda d: (d / "root.cert").write_text("x"), "does not hold a certificate"),
        (lambda d: (d / "root.cert").write_text(ca("r").cert.pem), r"is not issued by root\.cert"),
    ],
)
def test_damaged_folder_says_what_to_do(tmp_path, damage, text):
    opened(tmp_path)
    damage(tmp_path)
    with pytest.raises(pki.PkiError, match=text):
        opened(tmp_path)


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(pki.PkiError, match="cannot be used for keys"):
        opened(tmp_path / "f")


def write_chain(path: Path, made, *above, key=None):
    path.mkdir()
    (path / "cert").write_text(made.cert.pem)
    (path / "key").write_text(key_pem(key or made.key))
    (path / "chain").write_text("".join(a.cert.pem for a in above))
    return pki.OwnChain(path / "cert", path / "key", path / "chain" if above else None)


def server_of(issuer, key=None):
    san = x509.SubjectAlternativeName([x509.DNSName("own.test")])
    return Made("own", issuer, key=key, extensions=[(san, False)])


def test_own_files_are_used(tmp_path, root, middle):
    public_root = ca("public")
    signing = write_chain(tmp_path / "s", middle, root)
    server = write_chain(tmp_path / "t", server_of(public_root), public_root)
    authority = opened(tmp_path / "d", signing=signing, server=server, trust_domain="td")
    assert [c.common_name for c in authority.bundle] == ["middle", "root", "public"]
    assert [c.common_name for c in authority.server_chain] == ["own", "public"]
    assert authority.signing_key().algorithm == "ES256"
    cert = authority.issue_identity(pki.load_csr(as_pem(request())), "x")
    assert pki.verify_chain(cert, [middle.cert], [root.cert], now=NOW)
    assert cert.not_after == middle.cert.not_after
    assert authority.issued(cert)
    assert not authority.issued(Made("foreign", root).cert)
    assert not authority.issued(authority.server_cert)


def test_own_server_certificate_is_read_again(tmp_path):
    public_root = ca("public")
    server = write_chain(tmp_path / "t", server_of(public_root), public_root)
    authority = opened(tmp_path / "d", server=server)
    assert not authority.renew_server_if_needed(["x"], now=NOW)
    fresh = server_of(public_root)
    (tmp_path / "t" / "cert").write_text(fresh.cert.pem)
    with pytest.raises(pki.PkiError, match="is not the key"):
        authority.renew_server_if_needed(["x"], now=NOW)
    (tmp_path / "t" / "key").write_text(key_pem(fresh.key))
    assert authority.renew_server_if_needed(["x"], now=NOW)
    assert authority.server_cert == fresh.cert


def test_own_files_that_cannot_work(tmp_path, root):
    leaf = server_of(root)
    stranger = KEYS["P-256"]()
    cases = [
        ("server", write_chain(tmp_path / "a", leaf, root, key=stranger), "is not the key of the certificate"),
        ("server", write_chain(tmp_path / "b", leaf), "are missing: add them"),
        ("server", pki.OwnChain(tmp_path / "no", tmp_path / "no"), "no cannot be read: No such file"),
        ("server", write_chain(tmp_path / "c", server_of(root, KEYS["P-521"]()), root), "RSA, P-256 or P-384"),
        ("signing", write_chain(tmp_path / "e", leaf, root), "is not a CA"),
    ]
    for number, (kind, files, text) in enumerate(cases):
        with pytest.raises(pki.PkiError, match=text):
            opened(tmp_path / f"d{number}", **{kind: files})


def test_locked_key_is_explained(tmp_path, root):
    files = write_chain(tmp_path / "a", server_of(root), root)
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    files.key.write_bytes(locked)
    with pytest.raises(pki.PkiError, match="its passphrase is missing"):
        opened(tmp_path / "d", server=files)
    with pytest.raises(pki.PkiError, match="another passphrase"):
        opened(tmp_path / "d", server=files, passphrase="other")
    # It is opened, and is another key.
    with pytest.raises(pki.PkiError, match="is not the key of the certificate"):
        opened(tmp_path / "d", server=files, passphrase="pw")


def test_expired_signing_certificate_is_explained(tmp_path):
    authority = opened(tmp_path, ca_years=1)
    late = pki.Authority.open(tmp_path, pki.PkiOptions(), clock=lambda: NOW)
    late._clock = lambda: NOW + 400 * DAY
    with pytest.raises(pki.PkiError, match="signing certificate expired"):
        late.issue_identity(pki.load_csr(as_pem(request())), "x")
    assert authority.bundle == late.bundle


def test_signing_key_signs_what_the_server_certificate_verifies(authority):
    key = authority.signing_key().key
    signature = key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
    authority.server_cert.raw.public_key().verify(signature, b"x", padding.PKCS1v15(), hashes.SHA256())


def test_private_keys_stay_out_of_messages_and_reprs(authority):
    assert not re.search("PRIVATE", repr(authority.tls_material()) + repr(authority.signing_key()))

"""Settings: one table, four sources (flag over environment over file over default).

The table below is the only place that knows a setting's name, type, default and help; the command
line's help, `docs/settings.md` and the checks are derived from it. Imports nothing of ours.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT_PORT = 1280
PREFIX = "ZITILITE_"


class SettingError(ValueError):
    """A setting that cannot be used; the text names it, its value and where it came from."""


class Address(NamedTuple):
    """A host (DNS name or IP literal without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?\Z")


def address(value: str, *, default_port: int = DEFAULT_PORT) -> Address:
    """Parse `HOST`, `HOST:PORT`, `[V6]:PORT` or a bare IPv6 literal. Raises ValueError."""
    bare = re.match(r"\[([0-9A-Fa-f:.%]+)\](?::(\d{1,5}))?\Z", value)
    if bare:
        host, port = bare[1], bare[2]
    elif value.count(":") > 1:
        host, port = value, None
    else:
        host, _, port = value.partition(":")
    number = int(port) if port else default_port
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.match(host):
            raise ValueError(f"'{value}' is no HOST[:PORT]") from None
    if not 0 <= number < 65536:
        raise ValueError(f"port {number} is not between 0 and 65535")
    return Address(host.rstrip("."), number)


def _addresses(value: str | Sequence[str]) -> tuple[Address, ...]:
    items = value.split(",") if isinstance(value, str) else list(value)
    return tuple(address(item.strip()) for item in items if item.strip())


def _advertised(value: str | Sequence[str]) -> tuple[Address, ...]:
    # Port 0 stands for "the port we listen on"; it is filled in once that is known.
    items = value.split(",") if isinstance(value, str) else list(value)
    return tuple(address(item.strip(), default_port=0) for item in items if item.strip())


def _positive(value: str | int) -> int:
    number = int(value)
    if number <= 0:
        raise ValueError(f"{number} is not above zero")
    return number


def _from_zero(value: str | int) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(f"{number} is below zero")
    return number


def _webhook(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
        raise ValueError(f"'{value}' is no https URL without user name")
    return value


def _database(value: str) -> str:
    if value and not re.match(r"postgres(ql)?://", value):
        raise ValueError("it does not begin with postgresql://")
    return value


def _choice(*choices: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"'{value}' is none of {', '.join(choices)}")
        return value

    return check


def _trust_domain(value: str) -> str:
    if value and not re.fullmatch(r"[a-z0-9._-]{1,255}", value):
        raise ValueError(f"'{value}' may hold only a-z, 0-9, '.', '-' and '_'")
    return value


def _between(lo: int, hi: int, *, empty: bool = False) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not (lo <= len(value) <= hi or (empty and not value)):
            raise ValueError(f"'{value}' does not have {lo} to {hi} characters")
        return value

    return check


def _path(value: str) -> Path:
    return Path(value).expanduser()


def _optional_path(value: str) -> Path | None:
    return Path(value).expanduser() if value else None


KEYS = ("P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096")


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table: flag `--name`, variable `ZITILITE_NAME`, key `name` in the file.

    `of_client` marks those of commands that talk to a controller elsewhere.
    """

    name: str
    convert: Callable[[Any], Any]
    default: Any
    help: str
    repeatable: bool = False
    secret: bool = False
    of_client: bool = False

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting("data", _path, "zitilite-data", "folder for the database, the keys and the lock"),
    Setting(
        "database",
        _database,
        "",
        "postgresql://USER:PASSWORD@HOST/NAME of a PostgreSQL database in place of the SQLite file in the data folder; "
        "better not as a flag, which others on the machine can see; see guide/postgresql.md",
        secret=True,
    ),
    Setting("config", _optional_path, "", "settings file (TOML); DATA/zitilite.toml when it exists"),
    Setting("listen", address, "0.0.0.0:1280", "HOST:PORT to listen on; port 0 takes a free one"),
    Setting(
        "advertise",
        _advertised,
        "",
        "HOST[:PORT] that clients use; repeatable, the first one goes into tokens, all into the server certificate; "
        "taken over at a start when it changed, see guide/addresses.md (default: this machine's address)",
        repeatable=True,
    ),
    Setting("admin_user", _between(4, 100), "admin", "name of the administrator made on the first start"),
    Setting(
        "admin_password",
        _between(5, 100, empty=True),
        "",
        "its password of 5 to 100 characters, first start only (default: random, printed once)",
        secret=True,
    ),
    Setting("trust_domain", _trust_domain, "", "SPIFFE trust domain of issued certificates (default: made once)"),
    Setting("identity_certificate_days", _positive, 365, "days an identity's certificate is valid"),
    Setting("router_certificate_days", _positive, 365, "days a router's certificates are valid"),
    Setting("enrollment_minutes", _positive, 180, "minutes an identity's enrollment token is valid"),
    Setting("router_enrollment_minutes", _positive, 180, "minutes a router's enrollment token is valid"),
    Setting("expiring_days", _positive, 30, "days before its end from which a certificate counts as expiring"),
    Setting("session_minutes", _positive, 30, "minutes an API session lives"),
    Setting("oidc", _choice("on", "off"), "on", "serve and announce OIDC logins: on or off"),
    Setting(
        "jwks_private_addresses",
        _choice("on", "off"),
        "off",
        "fetch keys of external JWT signers from private addresses and over http, too: on or off",
    ),
    Setting("ca_key", _choice(*KEYS), "P-256", "key of root and intermediate: " + ", ".join(KEYS)),
    Setting("server_key", _choice(*KEYS), "RSA-2048", "key of the server certificate, which also signs tokens"),
    Setting("signing_cert", str, "", "own CA instead of the made one: PEM with the signing certificate and its chain"),
    Setting("signing_key", str, "", "own CA: PEM with the signing key"),
    Setting("server_cert", str, "", "own server certificate: PEM with its chain (its key signs tokens)"),
    Setting("server_cert_key", str, "", "own server certificate: PEM with its key"),
    Setting(
        "key_passphrase",
        _between(8, 200, empty=True),
        "",
        "passphrase of 8 to 200 characters that the private keys in the data folder are encrypted with",
        secret=True,
    ),
    Setting("key_passphrase_file", _optional_path, "", "file whose first line is that passphrase"),
    Setting("body_limit", _positive, 1024 * 1024, "largest request body in bytes"),
    Setting("bulk_limit", _positive, 16 * 1024 * 1024, "largest body of a bulk request in bytes"),
    Setting("workers", _from_zero, 0, "processes that serve; 0 takes one for each core, four at most"),
    Setting("threads", _positive, 8, "threads of each process that serves"),
    Setting(
        "limit_address",
        _from_zero,
        600,
        "refused attempts to enroll or log in a minute that one address (of IPv6 a /64) may make; 0: any number",
    ),
    Setting(
        "limit_account",
        _from_zero,
        30,
        "wrong passwords a minute for one user name from one address, ten times as many from all; 0: any number",
    ),
    Setting("limit_token", _from_zero, 60, "refused enrollments a minute with one token; 0: any number"),
    Setting("attempt_days", _positive, 30, "days that attempts to enroll and to log in stay in the log"),
    Setting("attempt_rows", _positive, 100_000, "most attempts that stay in the log, the newest ones"),
    Setting("audit_days", _positive, 365, "days that the audit log keeps who changed what"),
    Setting("audit_webhook", _webhook, "", "https URL that each row of the audit log is sent to"),
    Setting(
        "audit_webhook_private_addresses",
        _choice("on", "off"),
        "off",
        "send it to private addresses and over http, too: on or off",
    ),
    Setting("audit_webhook_secret", str, "", "key of the HMAC-SHA256 that signs what the webhook gets", secret=True),
    Setting(
        "replay_minutes",
        _from_zero,
        10,
        "minutes in which the same token with the same key gets the same certificate again; 0 = never",
    ),
    Setting("metrics", _choice("off", "on"), "off", "on: /metrics answers everybody, in the Prometheus text format"),
    Setting(
        "crl_fetch",
        _choice("off", "on", "private"),
        "off",
        "fetch revocation lists of CAs every hour: off, on, or private for private addresses as well",
    ),
    Setting("backup_hours", _from_zero, 0, "hours between backups that are made by themselves; 0: none are"),
    Setting("backup_keep", _positive, 7, "how many of those backups are kept; those made on request stay"),
    Setting("backup_folder", str, "", "folder for backups (default: DATA/backups)"),
    Setting(
        "backup_passphrase",
        _between(8, 200, empty=True),
        "",
        "passphrase of 8 to 200 characters that backups are encrypted with",
        secret=True,
    ),
    Setting("log_level", _choice("debug", "info", "warning", "error"), "info", "debug, info, warning or error"),
    Setting("log_format", _choice("text", "json"), "text", "text, or json for one JSON object a line"),
    Setting(
        "url",
        str,
        "",
        "https://HOST[:PORT] of the controller a command talks to (default: that of --data)",
        of_client=True,
    ),
    Setting("token", str, "", "API token, or the token of a session, for that", secret=True, of_client=True),
    Setting("trust", _optional_path, "", "its CA certificates, PEM (default: those of the system)", of_client=True),
)
_BY_NAME = {s.name: s for s in SETTINGS}
SERVER_NAMES = tuple(s.name for s in SETTINGS if not s.of_client)


@dataclass(frozen=True)
class Settings:
    """The effective settings; `sources` says for each where it came from."""

    values: Mapping[str, Any]
    sources: Mapping[str, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def place(self) -> Path | str:
        """Where the data is: the URL of a PostgreSQL database, else the SQLite file in the data folder."""
        url: str = self.values["database"]
        file: Path = self.values["data"] / "zitilite.db"
        return url or file

    @property
    def holds_data(self) -> bool:
        """Whether there may be a controller: a database was named, or the data folder has the file."""
        place = self.place
        return isinstance(place, str) or place.exists()

    def advertised(self, port: int) -> tuple[Address, ...]:
        """The addresses clients use, first the one in tokens; `port` is the one really listened on."""
        return tuple(Address(a.host, a.port or port) for a in self.asked_addresses())

    def passphrase_of_keys(self) -> str:
        """What the private keys are encrypted with; "" for nothing. Raises SettingError."""
        file: Path | None = self.values["key_passphrase_file"]
        given: str = self.values["key_passphrase"]
        if file is None:
            return given
        if given:
            raise SettingError("settings 'key_passphrase' and 'key_passphrase_file' exclude each other")
        try:
            first = file.read_text().partition("\n")[0].rstrip("\r")
            return _between(8, 200)(first)
        except OSError as e:
            raise SettingError(
                f"the file of setting 'key_passphrase_file', {file}, cannot be read: {e.strerror}"
            ) from None
        except ValueError:
            raise SettingError(f"the first line of {file} must be a passphrase of 8 to 200 characters") from None

    def asked_addresses(self) -> tuple[Address, ...]:
        """The same as they were given; port 0 stands for the one listened on."""
        chosen: tuple[Address, ...] = self.values["advertise"] or own_addresses(self.values["listen"].host)
        return chosen


def own_addresses(listen_host: str) -> tuple[Address, ...]:
    """What to advertise when nothing is set: the address listened on, else this machine's outward one."""
    try:
        listening = ipaddress.ip_address(listen_host)
    except ValueError:
        return (Address(listen_host, 0),)
    if not listening.is_unspecified:
        return (Address(listen_host, 0),)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # picks a route and a source address; a UDP connect sends nothing
            outward = probe.getsockname()[0]
        except OSError:
            outward = "127.0.0.1"
    names = [outward, socket.gethostname()]
    return tuple(Address(name, 0) for name in dict.fromkeys(names) if _is_host(name))


def _is_host(name: str) -> bool:
    try:
        address(name)
    except ValueError:
        return False
    return True


def add_flags(parser: argparse._ActionsContainer, names: Sequence[str] | None = None, *, shown: bool = True) -> None:
    """Give `parser` a flag for each setting (or only for `names`); `shown` False leaves them out of its help."""
    for s in SETTINGS:
        if names is None or s.name in names:
            default = f" (default: {s.default})" if s.default not in ("", None) else ""
            parser.add_argument(
                s.flag,
                dest=s.name,
                action="append" if s.repeatable else "store",
                metavar="…",
                # Not None: a flag before the command must not be overwritten by its absence after it.
                default=argparse.SUPPRESS,
                help=f"{s.help}{default} [{s.variable}]" if shown else argparse.SUPPRESS,
            )


def reference() -> str:
    """The settings as a Markdown table: what `docs/settings.md` holds."""
    lines = [
        "# Settings",
        "",
        "Each can be a flag, an environment variable or a key in the settings file",
        "(TOML, `DATA/zitilite.toml` or `--config`).",
        "A flag wins over the variable, the variable over the file, the file over the default.",
        "`zitilite settings` prints the effective values and where each came from.",
        "This page is made from the table in `config.py` by `make docs`.",
        "",
        "| flag | variable | key | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for s in SETTINGS:
        default = f"`{s.default}`" if s.default != "" else "-"
        lines.append(f"| `{s.flag}` | `{s.variable}` | `{s.name}` | {default} | {s.help} |")
    return "\n".join(lines) + "\n"


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Merge flags (absent or None = not given), environment, settings file and defaults.

    Raises SettingError with the name and the source of the first value that cannot be used.
    """
    flags = flags or {}
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name in ("data", "config"):
        values[name], sources[name] = _pick(_BY_NAME[name], flags, environ, {}, "")
    file = values["config"] or values["data"] / "zitilite.toml"
    content = _read_file(file, must_exist=values["config"] is not None)
    for s in SETTINGS:
        if s.name not in values:
            values[s.name], sources[s.name] = _pick(s, flags, environ, content, str(file))
    return Settings(values, sources)


def _pick(
    s: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], content: Mapping[str, Any], file: str
) -> tuple[Any, str]:
    if flags.get(s.name) is not None:
        raw, source = flags[s.name], f"flag {s.flag}"
    elif s.variable in environ:
        raw, source = environ[s.variable], f"variable {s.variable}"
    elif s.name in content:
        raw, source = content[s.name], file
    else:
        raw, source = s.default, "default"
    try:
        return s.convert(raw), source
    except (ValueError, TypeError) as e:
        shown = s.help if s.secret else e
        raise SettingError(f"setting '{s.name}' from {source} cannot be used: {shown}") from None


def _read_file(file: Path, *, must_exist: bool) -> dict[str, Any]:
    if not must_exist and not file.exists():
        return {}
    try:
        content = tomllib.loads(file.read_text())
    except OSError as e:
        raise SettingError(f"settings file {file} cannot be read: {e.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise SettingError(f"settings file {file} is no valid TOML: {e}") from None
    unknown = sorted(set(content) - set(_BY_NAME))
    if unknown:
        raise SettingError(f"settings file {file} has unknown settings: {', '.join(unknown)}")
    return content

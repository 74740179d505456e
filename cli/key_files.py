"""`keys`: whether the private keys in the data folder are encrypted, and changing that."""

from __future__ import annotations

import argparse
from typing import Any

import config
import pki
import store

NEEDED = ("data", "config", "key_passphrase", "key_passphrase_file")


def add_commands(commands: Any) -> None:
    """Give the parser these commands."""
    keys = commands.add_parser("keys", help="the private keys in the data folder: show, encrypt, decrypt")
    verbs = keys.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in (
        ("show", "list the files, and whether each is encrypted"),
        ("encrypt", "encrypt them with the passphrase of setting key_passphrase_file; the controller must be stopped"),
        ("decrypt", "store them without a passphrase; the controller must be stopped"),
    ):
        one = verbs.add_parser(verb, help=text)
        config.add_flags(one, NEEDED)
        one.set_defaults(offline=show if verb == "show" else convert)


def show(settings: config.Settings, _: argparse.Namespace) -> int:
    """Print the files of keys."""
    for path, is_locked in pki.key_files(settings.data / "pki").items():
        print(f"{'encrypted' if is_locked else 'plain':10} {path}")
    return 0


def convert(settings: config.Settings, a: argparse.Namespace) -> int:
    """Encrypt or decrypt them all. Raises StoreError while a controller runs on the folder."""
    passphrase = settings.passphrase_of_keys()
    if not passphrase:
        raise config.SettingError("the passphrase is missing: name its file with --key-passphrase-file")
    if not (settings.data / "pki").is_dir():
        raise store.StoreError(f"{settings.data} holds no keys: name a data folder with --data")
    lock = store.FolderLock(settings.data)
    try:
        changed = pki.convert_keys(settings.data / "pki", passphrase, passphrase if a.verb == "encrypt" else "")
    finally:
        lock.release()
    for path in changed:
        print(f"{a.verb}ed {path}")
    return 0

"""Names of files that hold secrets: never indexed, never prompted with, never sent, whatever ignore files say.

By name alone, so that a file is covered before it exists. Compared without regard to case and Unicode form, since the
file systems of two of three platforms do the same.
"""

import re
import unicodedata

_FOLDERS = frozenset({".ssh", ".gnupg", ".gpg", ".aws", ".azure", ".kube", ".docker", ".git", ".hg", ".svn"})
_NAMES = frozenset(
    {
        ".npmrc", ".yarnrc", ".pypirc", ".netrc", "_netrc", ".git-credentials", ".gitconfig", ".htpasswd", ".pgpass",
        ".my.cnf", ".dockercfg", ".dockerconfigjson", ".vault-token", ".terraformrc", ".envrc", ".s3cfg", ".boto",
        "kubeconfig", "htpasswd", "shadow", "master.key", "authorized_keys", "known_hosts", "token", "tokens.json",
        "wp-config.php", "local.settings.json", "google-services.json", "nuget.config", "auth.json",
    }
)  # fmt: skip
_ENDINGS = (
    ".pem", ".key", ".p8", ".p12", ".pfx", ".pkcs12", ".jks", ".keystore", ".bks", ".kdb", ".kdbx", ".ppk", ".gpg",
    ".pgp", ".asc", ".ovpn", ".tfvars", ".tfvars.json", ".tfstate", ".tfstate.backup", ".mobileprovision", ".keytab",
    ".agekey", ".env", ".secret", ".secrets", ".credentials",
)  # fmt: skip
_PATTERNS = re.compile(
    r"\.env(\..*|-.*|_.*)?|.*\.env\.[\w-]+"
    r"|id_(rsa|dsa|ecdsa|ed25519)(_sk)?([._-].*)?"
    r"|(.*[._-])?(credentials?|secrets?|passwords?|passwd)(\.[\w.-]+)?"
    r"|(.*[._-])?(service[._-]?account|client[._-]?secrets?)([._-].*)?\.json"
)


def is_secret(path: str) -> bool:
    """Whether a path (either separator, relative or not) names a secret or lies in a folder of them."""
    parts = unicodedata.normalize("NFKC", path).casefold().replace("\\", "/").split("/")
    # Windows ignores dots and blanks at the end of a name, so `.env.` opens `.env`.
    parts = [part.rstrip(". ") for part in parts if part not in ("", ".")]
    if not parts:
        return False
    name = parts[-1]
    return (
        name in _NAMES
        or name.endswith(_ENDINGS)
        or _PATTERNS.fullmatch(name) is not None
        or not _FOLDERS.isdisjoint(parts)
    )

"""Rules by which secrets are found in text: what the maintained public scanners look for, as data of our own.

Expressions run on UTF-8 bytes and mean the same to RE2 and to Python's `re`: no look-around, no back-references, and
no `\\s`, `\\w` or `$`, on which the two differ. Each repetition is of one class of characters, so `re` too takes linear
time in practice. `keywords` are lower-case; one of them occurs, in whatever case, in all that a rule can match.
"""

import re
from typing import Literal, NamedTuple

from hearth.core.secret_rules_tokens import TOKENS, Entry

TOKEN_ENTROPY_MIN_BITS = 2.2
"""Bits per character below which a token is a stand-in: `ghp_xxxxxxxxxxxx`."""

Gate = Literal["", "value", "bare", "url", "phrase"]


class Rule(NamedTuple):
    """One way to find a secret. The secret is the first group that took part, or all that matched if there is none."""

    name: str
    keywords: tuple[str, ...]
    expression: str
    entropy: float = 0.0
    """Least bits per character of the secret."""
    gate: Gate = ""
    """What else the secret has to look like: see `hearth.core.secret_scan`."""


_ALPHABETS = {
    "a": "[0-9A-Za-z]",
    "w": "[0-9A-Za-z_-]",
    "b": "[0-9A-Za-z+/]",
    "h": "[0-9a-f]",
    "x": "[0-9A-Fa-f]",
    "u": "[0-9A-Z]",
    "l": "[0-9a-z]",
    "d": "[0-9]",
    "g": "[A-Z2-7]",
}
_COUNTED = re.compile(r"<([awbhxuldg])(\d+)(?:-(\d+)|(\+))?>")
_LITERAL = re.compile(r"[0-9A-Za-z_/:~@=-]+")
_BOUNDARY = r"(?:\b|\\[nrt])"
"""Where a token may begin; after an escaped line end too, as file text looks inside JSON."""
_DISTINCT_CHARS = 4
"""A fixed beginning so long that ends in a mark needs no boundary: `ghp_` is one in `xghp_` too."""


def expanded(shape: str) -> str:
    """A shape of `secret_rules_tokens` as a regular expression."""

    def one(found: re.Match[str]) -> str:
        alphabet, least, most, open_ended = found.groups()
        count = f"{{{least}}}" if not (most or open_ended) else f"{{{least},{most or ''}}}"
        return _ALPHABETS[alphabet] + count

    return _COUNTED.sub(one, shape)


def _token(entry: Entry) -> Rule:
    name, shape = entry[0], entry[1].removeprefix(r"\b")
    literal = _LITERAL.match(shape)
    beginning = literal.group() if literal else ""
    # A literal's last character belongs to a repetition if one follows.
    if shape[len(beginning) :].startswith(("?", "*", "+", "{")):
        beginning = beginning[:-1]
    keywords = entry[2] if len(entry) == 3 else (beginning.lower(),)
    expression = expanded(shape)
    if "(" not in re.sub(r"\(\?", "", expression):
        expression = f"({expression})"
    if not all(len(word) >= _DISTINCT_CHARS and not word[-1].isalnum() for word in keywords):
        expression = _BOUNDARY + expression
    return Rule(name, keywords, expression, TOKEN_ENTROPY_MIN_BITS)


_QUOTE = r"\\{0,3}[\"'`]"
_TYPE = r"(?:[ \t]{0,4}:[ \t]{0,4}[A-Za-z_&*?][A-Za-z_<>\[\]|.& ]{0,40})?"
_BREAK = r"(?:[ \t]{0,4}[(\\|>]{0,2}-?[ \t]{0,4}\r?\n[ \t]{0,40})?"
_JOINT = (
    rf"(?:{_QUOTE})?[\])]?{_TYPE}[ \t]{{0,40}}"
    rf"(?:(?:[=!]==?|:=|\?=|\|\|=?|\?\?=?|=>|->|=|:|,|\(|>)[ \t]{{0,20}}{_BREAK}\(?(?:[rbfuRBFU@]{{0,2}}{_QUOTE})"
    rf"|(?::=|=>|=|:)[ \t]{{0,20}}{_BREAK})"
)
"""What stands between a name and its value, in the languages and file formats there are."""
_ATTRIBUTE = r"[\"'][ \t]+[Vv]alue[ \t]*=[ \t]*[\"']"

# Secrets that have no beginning of their own: (name, what they are named after, shape of the value).
_NAMED: tuple[tuple[str, str, str], ...] = (
    ("aws-secret-key", "aws|secret_?access_?key|secretaccesskey", "<b40>"),
    ("alibaba-secret-key", "alibaba|aliyun|alicloud", "<a30>"),
    ("tencent-secret-key", "tencent|qcloud", "<a32>"),
    ("azure-devops-key", "azure_?devops|vsts|ado_?pat", "[a-z2-7]{52}"),
    ("heroku-uuid", "heroku", "<x8>-<x4>-<x4>-<x4>-<x12>"),
    ("scaleway-secret-key", "scaleway|scw_secret", "<h8>-<h4>-<h4>-<h4>-<h12>"),
    ("linode-token", "linode", "<h64>"),
    ("vultr-key", "vultr", "<u36>"),
    ("hetzner-token", "hcloud|hetzner", "<a64>"),
    ("ovh-key", "ovh", "<a16,32>"),
    ("cloudflare-key", "cloudflare|cf_api", "(?:<w40>|<h37>)"),
    ("fastly-token", "fastly", "<w32>"),
    ("railway-token", "railway", "<h8>-<h4>-<h4>-<h4>-<h12>"),
    ("datadog-key", "datadog|dd_api|dd_app", "(?:<h40>|<h32>)"),
    ("rollbar-token", "rollbar", "<h32>"),
    ("bugsnag-key", "bugsnag", "<h32>"),
    ("codecov-token", "codecov", "<h8>-?<h4>-?<h4>-?<h4>-?<h12>"),
    ("snyk-uuid", "snyk", "<h8>-<h4>-<h4>-<h4>-<h12>"),
    ("travis-token", "travis", "<w22>"),
    ("drone-token", "drone", "<a32>"),
    ("circleci-key", "circle_?(?:ci|token)", "<h40>"),
    ("gitea-token", "gitea|forgejo|codeberg", "<h40>"),
    ("github-oauth", "github|ghe_", "<h40>"),
    ("bitbucket-client-secret", "bitbucket", "[0-9A-Za-z_=-]{32,64}"),
    ("atlassian-key", "atlassian|jira|confluence", "<a24>"),
    ("okta-token", "okta", "00<w40>"),
    ("auth0-secret", "auth0", "<w64>"),
    ("twilio-auth-token", "twilio", "<h32>"),
    ("messagebird-key", "messagebird", "<a25>"),
    ("mattermost-token", "mattermost", "<l26>"),
    ("zendesk-token", "zendesk", "<a40>"),
    ("intercom-key", "intercom", "[0-9A-Za-z=_-]{60}"),
    ("postmark-token", "postmark", "<h8>-<h4>-<h4>-<h4>-<h12>"),
    ("mailjet-key", "mailjet", "<h32>"),
    ("discord-secret", "discord", "(?:<w32>|<h64>)"),
    ("line-token", "line_?(?:notify|channel|messaging)", "<w43>"),
    ("algolia-key", "algolia", "<h32>"),
    ("airtable-key", "airtable", "key<a14>"),
    ("asana-token", "asana", "(?:\\d/\\d{10,20}(?:/\\d+)?:<h32>|<h32>)"),
    ("adafruit-key", "adafruit", "(?:aio_<a28>|<w32>)"),
    ("confluent-key", "confluent|ccloud", "(?:<b64>|<u16>)"),
    ("contentful-delivery-token", "contentful", "<w43>"),
    ("coinbase-secret", "coinbase", "<w64>"),
    ("binance-key", "binance", "<a64>"),
    ("kraken-secret", "kraken", "<b80>[0-9A-Za-z+/=]{0,12}"),
    ("kucoin-secret", "kucoin", "<h8>-<h4>-<h4>-<h4>-<h12>"),
    ("infura-key", "infura|alchemy|etherscan", "<a32,34>"),
    ("cohere-key", "cohere|co_api_key", "<a40>"),
    ("mistral-key", "mistral", "<a32>"),
    ("deepgram-key", "deepgram", "<h40>"),
    ("assemblyai-key", "assembly_?ai", "<h32>"),
    ("wandb-legacy-key", "wandb|weights_?and_?biases", "<h40>"),
    ("dropbox-key", "dropbox", "<l15>"),
    ("linkedin-secret", "linked_?in", "<a14,16>"),
    ("twitter-secret", "twitter|tweepy", "<a45,50>"),
    ("facebook-secret", "facebook|fb_app", "<h32>"),
    ("mapbox-legacy-key", "mapbox", "<a22>\\.<a22>"),
    ("segment-key", "segment_?write", "<a32>"),
    ("sumologic-key", "sumo_?logic", "(?:su<a12>|<a64>)"),
    ("meraki-key", "meraki", "<h40>"),
    ("pagerduty-key", "pager_?duty", "(?:<w20>|<h32>)"),
    ("opsgenie-key", "opsgenie", "<h8>-<h4>-<h4>-<h4>-<h12>"),
    ("elastic-key", "elastic(?:search)?_?(?:cloud|api)", "<b40>[0-9A-Za-z+/=_-]{0,60}"),
    ("finnhub-token", "finnhub", "<l20>"),
    ("rails-master-key", "rails_?master|master_?key|secret_?key_?base", "(?:<h128>|<h32>)"),
    ("shodan-key", "shodan", "<a32>"),
    ("virustotal-key", "virus_?total|vt_api", "<h64>"),
    ("openweather-key", "open_?weather", "<h32>"),
)


def _named(name: str, after: str, shape: str) -> Rule:
    words = tuple({word.split("_?")[0].split("(")[0] for word in after.split("|") if word[:1].isalpha()})
    value = expanded(re.sub(r"<([a-z])(\d+),(\d+)>", r"<\1\2-\3>", shape))
    # What follows must not be more of the same: a longer value is another kind, which the general rules judge.
    expression = rf"(?i:{after})[0-9A-Za-z_. \t-]{{0,40}}(?:{_ATTRIBUTE}|{_JOINT})({value})(?:[^0-9A-Za-z+/_-]|\z)"
    return Rule(name, words, expression, 2.6)


_SECRET_NAMES = (
    r"pass_?wor[dt]|passwd|passwort|mot_?de_?passe|contrase|pass_?phrase|passcode|[_.-]pass|[_.-]pwd|\bpwd|\bpass\b"
    r"|secret|token|api[_.-]?key|app[_.-]?key|access[_.-]?key|auth[_.-]?key|private[_.-]?key|secret[_.-]?key"
    r"|encryption[_.-]?key|signing[_.-]?key|master[_.-]?key|account[_.-]?key|service[_.-]?key|license[_.-]?key"
    r"|deploy[_.-]?key|client[_.-]?key|[_.-]key|credential|_auth\b|[_.-]salt|webhook|bearer|signature|jwt|hmac|dsn"
)
_PASSWORD_NAMES = (
    r"pass_?wor[dt]|passwd|passwort|mot_?de_?passe|contrase[0-9a-z\x80-\xff]{1,3}a|pass_?phrase|passcode|[_.-]pass"
    r"|[_.-]pwd|\bpwd|\bpass\b|(?-i:[a-z]Pass\b|[a-z]Pwd\b)"
)
_WORDS = (
    "passw", "pass_wor", "motdepasse", "mot_de_passe", "contrase", "phrase", "passcode", "pass", "pwd", "secret",
    "token", "key", "credential", "_auth", "salt", "webhook", "bearer", "signature", "jwt", "hmac", "dsn",
)  # fmt: skip
_PASS_WORDS = ("passw", "pass_wor", "motdepasse", "mot_de_passe", "contrase", "phrase", "passcode", "pass", "pwd")
_TAIL = r"[0-9A-Za-z_.-]{0,40}"

SHAPES: tuple[Rule, ...] = (
    Rule(
        "private-key",
        ("private key",),
        r"-----BEGIN [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\"'`]{0,3}[ \t\r\n\\nr]{0,8}"
        r"(?:[A-Z][0-9A-Za-z-]{2,30}: [^\r\n\\]{0,100}[\r\n\\nr]{1,4})*[0-9A-Za-z+/=\x00-\x20\\\"'`,#*|>]{40,}"
        r"(?:-----END [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    Rule(
        "putty-private-key",
        ("private-lines",),
        r"Private-Lines: \d{1,3}[\r\n\\nr]{1,4}((?:[0-9A-Za-z+/=]{16,80}[\r\n\\nr]{1,4})+)",
    ),
    Rule("jwt", ("eyj",), _BOUNDARY + r"(eyJ[0-9A-Za-z_-]{8,}\.eyJ?[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{10,})", 3.0),
    Rule("jwe", ("eyj",), _BOUNDARY + r"(eyJ[0-9A-Za-z_-]{16,}(?:\.[0-9A-Za-z_-]*){3}\.[0-9A-Za-z_-]{16,})", 3.0),
    Rule(
        "url-password",
        ("://",),
        r"[a-zA-Z][0-9A-Za-z+.-]{1,24}://[^\x00-\x20/:@\"'<>`?#]{0,80}:([^\x00-\x20/@\"'<>`]{3,256})@[0-9A-Za-z\[_$%{.-]",
        gate="url",
    ),
    Rule(
        "url-token",
        ("://",),
        r"https?://([0-9A-Za-z_-]{20,255})@[0-9A-Za-z.-]{3,80}",
        3.2,
        gate="value",
    ),
    Rule(
        "query-secret",
        ("key=", "token=", "secret=", "password=", "signature=", "sig=", "auth="),
        r"(?i:[?&](?:[a-z_-]{0,24}(?:key|token|secret|password|signature|sig|auth)))=([0-9A-Za-z%_.~+/-]{12,512})",
        3.0,
        gate="value",
    ),
    Rule(
        "authorization-header",
        ("bearer", "basic", "token", "authorization", "apikey"),
        r"(?i:authorization|proxy-authorization|x-[a-z-]{0,24}(?:key|token|secret|auth))\\{0,3}[\"'\])]{0,2}"
        r"[ \t]{0,4}[:=,][ \t]{0,4}[fbr]?\\{0,3}[\"'`]?"
        r"(?i:(?:bearer|basic|token|apikey|api-key|bot|key)[ \t]+)?([0-9A-Za-z_.~+/=-]{8,512})",
        gate="value",
    ),
    Rule(
        "bearer-token",
        ("bearer", "basic "),
        r"\b(?i:bearer|basic)[ \t]+([0-9A-Za-z_.~+/=-]{16,512})",
        3.0,
        gate="value",
    ),
    Rule(
        "curl-user",
        ("curl", "wget", "http"),
        r"(?i:curl|wget|https?)\b[^\r\n]{0,200}[ \t](?:-u|--user|--proxy-user)[ =]?[\"']?"
        r"[^\x00-\x20\"':]{1,80}:([^\x00-\x20\"']{3,128})",
        gate="url",
    ),
    Rule(
        "cli-secret",
        ("--",),
        r"(?i:--?(?:[a-z]{1,16}-){0,3}(?:password|passwd|pass|token|secret|api-?key|access-?key|auth|key))[ \t=]{1,3}"
        r"[\"']?([^\x00-\x20\"'`;|&]{6,256})",
        gate="bare",
    ),
    Rule(
        "environment-secret",
        ("env ", "arg ", "export ", "set ", "setx ", "setenv ", "env:"),
        r"\b(?i:env|arg|export|setx?|setenv)(?:[ \t]+|:)[0-9A-Za-z_]{0,40}"
        r"(?i:pass|passwd|password|pwd|token|secret|key|credentials?)[0-9A-Za-z_]{0,24}[ \t=]{1,3}"
        r"[\"']?([^\x00-\x20\"'`;|&]{6,256})",
        gate="bare",
    ),
    Rule(
        "cli-short-password",
        (" -p", " -a", " -w"),
        r"\b(?i:sshpass|mysql[a-z]{0,8}|mariadb|redis-cli|docker|podman|helm|mongo[a-z]{0,8}|ldap[a-z]{2,8}|smbclient)\b"
        r"[^\r\n|;]{0,160}[ \t]-[paw][ =]?[\"']?([^\x00-\x20\"'`;|&]{6,128}|[^\x00-\x20\"'`]{6,128}[\"'])",
        gate="bare",
    ),
    Rule(
        "piped-password",
        ("-stdin", "sudo -s", "chpasswd"),
        r"\becho[ \t]+(?:-[a-z]{1,3}[ \t]+)?[\"']?([^\x00-\x20\"'`|]{6,128})[\"']?[ \t]*\|[^\r\n]{0,120}"
        r"(?i:-stdin|sudo -s|chpasswd)",
        gate="bare",
    ),
    Rule(
        "user-and-password",
        ("auth", "login", "credentials"),
        r"(?i:auth|login|credentials|authenticate)[\"']?[ \t]*(?:=[ \t]*\(?|:[ \t]*[(\[]|\()[ \t]*\(?"
        r"[\"'][^\"'\r\n]{1,80}[\"']"
        r",[ \t]*[\"']([^\x00-\x20\"']{6,128})[\"']",
        gate="bare",
    ),
    Rule(
        "cookie",
        ("cookie",),
        r"(?i:cookie)[\"']?[ \t]*[:=,][ \t]*[\"']?[^\r\n]{0,200}?"
        r"(?i:sess[a-z_]{0,12}|sid|auth[a-z_]{0,12}|token|remember[a-z_]{0,12})=([0-9A-Za-z%_.~+/-]{12,512})",
        gate="value",
    ),
    Rule(
        "defined-secret",
        ("define", "securestring"),
        r"(?i:#[ \t]*define[ \t]+[0-9a-z_]{0,40}(?:pass|pwd|secret|token|key)[0-9a-z_]{0,24}"
        r"|securestring(?:[ \t]+-string)?)[ \t]+[\"']([^\"'\r\n]{6,256})[\"']",
        gate="bare",
    ),
    Rule(
        "basic-pair",
        ("btoa", "b64encode", "base64"),
        r"(?i:btoa|b64encode|base64[a-z_.]{0,24})\(b?[\"'`][^\"'`:\r\n]{1,80}:([^\x00-\x20\"'`]{4,128})[\"'`]",
        gate="url",
    ),
    Rule(
        "told-secret",
        ("password", "passphrase", "token", "secret"),
        r"(?i:password|passphrase|token|secret)[ \t]+(?i:is|was)[ \t:]+[\"'`]?([^\x00-\x20\"'`]{8,128})",
        gate="bare",
    ),
    Rule(
        "recovery-phrase",
        ("mnemonic", "seed", "recovery", "phrase"),
        r"(?i:mnemonic|seed|recovery|phrase)[a-zA-Z_ ]{0,16}[\"']?[ \t]*[=:][ \t]*[\"']?"
        r"((?:[a-z]{3,8}[ \t]{1,2}){11,23}[a-z]{3,8})\b",
    ),
    Rule(
        "netrc-password",
        ("password",),
        r"\blogin[ \t\r\n]+[^\x00-\x20]{1,80}[ \t\r\n]+password[ \t\r\n]+([^\x00-\x20]{3,128})",
        gate="url",
    ),
    Rule(
        "sql-password",
        ("identified", "password"),
        r"(?i:identified[ \t]+(?:with[ \t]+[a-z0-9_]{1,40}[ \t]+)?by|(?:encrypted|with|set|user[ \t]+[^ \t\r\n]{1,64})"
        r"[ \t]+password(?:[ \t]+for[^=\r\n]{1,80})?)[ \t]*=?[ \t]*(?:password\()?'([^'\r\n]{4,128})'",
        gate="url",
    ),
    Rule(
        "connection-string-password",
        ("pwd=", "password="),
        r"(?i:[;\"'](?:user )?(?:password|pwd))=([^\x00-\x20;\"'`<>]{4,128})",
        gate="url",
    ),
    Rule(
        "password-hash",
        ("$2", "$5$", "$6$", "$apr1$", "$y$", "$argon2", "pbkdf2_", "{ssha"),
        r"(?:\$2[abxy]?\$\d\d\$[./0-9A-Za-z]{53}|\$(?:5|6|y|apr1|1|7)\$[./0-9A-Za-z$=,]{20,}"
        r"|\$argon2(?:id|i|d)\$[^\x00-\x20\"']{40,}|pbkdf2_sha(?:1|256|512)\$\d{3,9}\$[0-9A-Za-z]{6,}\$[0-9A-Za-z+/=]{24,}"
        r"|\{SSHA(?:256|512)?\}[0-9A-Za-z+/=]{24,})",
        2.6,
    ),
    Rule(
        "registry-auth",
        ("_auth", '"auth"', "'auth'", "identitytoken"),
        r"(?:_authToken|_auth|_password|\\?[\"'](?:auth|identitytoken)\\?[\"'])[ \t]*[=:][ \t]*\\?[\"']?"
        r"([0-9A-Za-z+/=_.~-]{12,512})",
        gate="value",
    ),
    Rule(
        "kubernetes-key-data",
        ("client-key-data", "client-certificate-data"),
        r"client-(?:key|certificate)-data[\"']?:[ \t]*[\"']?([0-9A-Za-z+/]{40,}={0,2})",
    ),
    Rule(
        "xml-password",
        _PASS_WORDS,
        rf"<(?i:[^<>\r\n]{{0,120}}(?:{_PASSWORD_NAMES}|password|secret|token|apikey)){_TAIL}[\"']?>([^<>\r\n]{{6,512}})</",
        gate="url",
    ),
    Rule(
        "password",
        _PASS_WORDS,
        rf"(?i:{_PASSWORD_NAMES}){_TAIL}(?:{_ATTRIBUTE}|{_JOINT})([^\x00-\x20\"'`]{{8,512}})",
        gate="bare",
    ),
    Rule(
        "pass-phrase",
        _PASS_WORDS,
        rf"(?i:{_PASSWORD_NAMES})[0-9A-Za-z_]{{0,24}}[\"']?[ \t]{{0,4}}[:=][ \t]{{0,4}}[\"'`]"
        r"([0-9A-Za-z][0-9A-Za-z ,.-]{11,80})[\"'`]",
        gate="phrase",
    ),
    Rule(
        "generic-secret",
        _WORDS,
        rf"(?i:{_SECRET_NAMES}){_TAIL}(?:{_ATTRIBUTE}|{_JOINT})([^\x00-\x20\"'`]{{10,512}})",
        2.8,
        gate="value",
    ),
)

RULES: tuple[Rule, ...] = (*map(_token, TOKENS), *(_named(*row) for row in _NAMED), *SHAPES)
RULE_NAMES = frozenset(rule.name for rule in RULES)
assert len(RULE_NAMES) == len(RULES)

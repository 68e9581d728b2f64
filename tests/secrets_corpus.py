"""Planted secrets: 2,000 small files, each with one invented secret, written by a seeded generator.

Every rule is planted from its own expression (does it still fire behind the pre-filter, the gates and the rest?), and
besides that the formats that providers document are written down here a second time, on their own, together with
assignments in many languages, encoded secrets, secrets in pieces, and known values in every spelling.
"""

import base64
import functools
import json
import random
import re
import string
import urllib.parse
from collections.abc import Callable, Iterator
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from hearth.core.secret_rules import RULES, SHAPES, Rule

SEED = 20_261_121
PLANTS = 2_000
LEAK_CHARS = 8
"""So many characters of a secret in a row are a leak."""

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
BASE64 = ALNUM + "+/"
WORD = ALNUM + "_-"
MARKS = "!#%*+-=?@^_~"
PLACEHOLDER = re.compile(r"<HEARTH_SECRET_\d+:[a-z0-9-]+>")
RULE_TIMES = 2
TRIES_MAX = 200


class Plant(NamedTuple):
    """A file with a secret in it. `pieces` are what of the secret stands in the text, as it stands there."""

    kind: str
    rule: str
    file: str
    text: str
    pieces: tuple[str, ...]
    known: str = ""

    def leaks(self, text: str) -> bool:
        """Whether any piece of the secret is still to be read."""
        # A placeholder's label may share letters with the secret it stands for.
        text = PLACEHOLDER.sub("", text)
        for piece in self.pieces:
            size = min(LEAK_CHARS, len(piece))
            if any(piece[at : at + size] in text for at in range(len(piece) - size + 1)):
                return True
        return bool(self.known) and self.known in text


class Maker:
    """Random text of given shapes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.still = 0
        """How many plants the last part has to make."""

    def some(self, alphabet: str, count: int) -> str:
        """Characters of an alphabet; never only of one kind where there are several, as real keys never are."""
        while True:
            text = "".join(self.random.choices(alphabet, k=count))
            if count < 12 or len(set(text)) >= min(len(set(alphabet)), count) // 3:
                return text

    def key(self, alphabet: str, count: int) -> str:
        """A generated key, with at least two digits and two letters."""
        while True:
            text = self.some(alphabet, count)
            if sum(c.isdigit() for c in text) >= 2 and sum(c.isalpha() for c in text) >= 2:
                return text

    def uuid(self) -> str:
        return "-".join(self.some(HEX, n) for n in (8, 4, 4, 4, 12))

    def of_expression(self, expression: str) -> str:
        """Some text that an expression matches."""
        return "".join(self._of(node) for node in parser.parse(expression.replace(r"\z", r"\Z")))

    def _of(self, node: tuple[Any, Any]) -> str:
        kind, value = node
        if kind is ops.LITERAL:
            return chr(value)
        if kind is ops.NOT_LITERAL:
            return " "
        if kind is ops.IN:
            return self._of_class(value, repeated=False)
        if kind is ops.BRANCH:
            return "".join(self._of(each) for each in self.random.choice(value[1]))
        if kind is ops.SUBPATTERN:
            return "".join(self._of(each) for each in value[3])
        if kind in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            least, most, inner = value
            count = least if least or most > 3 else self.random.randint(0, int(most))
            if most > least >= 8:
                count = least + self.random.randint(0, min(6, int(most) - least))
            if len(inner) == 1 and inner[0][0] is ops.IN:
                return "".join(self._of_class(inner[0][1], repeated=True) for _ in range(count))
            return "".join(self._of(each) for _ in range(count) for each in inner)
        return ""

    def _of_class(self, items: list[tuple[Any, Any]], *, repeated: bool) -> str:
        if items[0][0] is ops.NEGATE:
            return self.random.choice(ALNUM) if repeated else self.random.choice(" \n;")
        chars: list[str] = []
        for kind, value in items:
            if kind is ops.LITERAL:
                chars.append(chr(value))
            elif kind is ops.RANGE:
                chars += map(chr, range(value[0], value[1] + 1))
            elif kind is ops.CATEGORY:
                chars += string.digits
        return self.random.choice(chars)


# What stands around a secret that is known by itself: {} is where it goes.
AROUND: tuple[tuple[str, str], ...] = (
    (
        "settings.py",
        'import os\n\nDEBUG = False\nREMOTE = "{}"\n\ndef connect(timeout=30):\n    return open_it(REMOTE)\n',
    ),
    ("client.ts", "import {{ Client }} from './client'\n\nconst client = new Client('{}')\nexport default client\n"),
    ("config.json", '{{\n  "name": "app",\n  "value": "{}",\n  "retries": 3\n}}\n'),
    ("deploy.yaml", "services:\n  web:\n    image: app:1.2\n    args:\n      - {}\n    ports: [80]\n"),
    (".env.local", "MODE=live\nVALUE={}\nLEVEL=info\n"),
    ("notes.md", "# How to run\n\nUse `{}` when you are asked, then wait.\n"),
    ("Main.java", 'class Main {{\n    private static final String VALUE = "{}";\n    void run() {{}}\n}}\n'),
    ("main.go", "package main\n\nvar value = `{}`\n\nfunc main() {{ run(value) }}\n"),
    ("app.properties", "app.name=one\napp.value={}\napp.size=3\n"),
    ("run.sh", "#!/bin/sh\nset -e\nVALUE={}\nexec run $VALUE\n"),
    ("log.txt", "2026-11-02 10:11:12 INFO start\n2026-11-02 10:11:13 DEBUG using {} for it\n"),
    ("change.diff", "@@ -1,3 +1,3 @@\n line\n-value = ''\n+value = '{}'\n line\n"),
    ("pom.xml", "<project>\n  <item>{}</item>\n  <size>2</size>\n</project>\n"),
    ("output.json", '{{"role": "tool", "content": "first line\\n{}\\nlast line"}}\n'),
)
# Assignments: {n} the name, {v} the value.
ASSIGNED: tuple[tuple[str, str], ...] = (
    ("settings.py", '{n} = "{v}"\n'),
    ("settings.py", "{n}: str = '{v}'\n"),
    ("settings.py", 'config["{n}"] = "{v}"\n'),
    ("settings.py", "connect(host, {n}='{v}', port=3)\n"),
    ("settings.py", 'value = os.environ.get("{n}", "{v}")\n'),
    ("client.ts", "const {n} = '{v}';\n"),
    ("client.ts", "export const options = {{ {n}: `{v}`, size: 3 }}\n"),
    ("client.ts", "this.{n} = this.{n} || '{v}'\n"),
    ("config.json", '{{"host": "a", "{n}": "{v}"}}\n'),
    ("messages.json", '{{"content": "{{\\"{n}\\": \\"{v}\\"}}"}}\n'),
    ("deploy.yaml", "env:\n  {n}: {v}\n  other: 1\n"),
    ("deploy.yaml", 'env:\n  - name: {n}\n    {n}: "{v}"\n'),
    (".env", "{n}={v}\n"),
    (".env", 'export {n}="{v}"\n'),
    ("app.ini", "[main]\n{n} = {v}\n"),
    ("app.properties", "spring.{n}={v}\n"),
    ("app.toml", '{n} = "{v}"\n'),
    ("main.tf", 'variable "x" {{\n  {n} = "{v}"\n}}\n'),
    ("Main.java", 'private static final String {n} = "{v}";\n'),
    ("Main.cs", 'var {n} = @"{v}";\n'),
    ("web.config", '<add key="{n}" value="{v}" />\n'),
    ("main.go", '{n} := "{v}"\n'),
    ("main.rs", 'let {n}: &str = "{v}";\n'),
    ("app.rb", ":{n} => '{v}',\n"),
    ("app.php", "$config['{n}'] = '{v}';\n"),
    ("Dockerfile", "FROM a\nENV {n} {v}\n"),
    ("run.sh", "app --{n}={v} --size 3\n"),
    ("app.kt", 'val {n}: String = "{v}"\n'),
    ("pipeline.groovy", "{n} = '{v}'\n"),
)
SECRET_NAMES = (
    "API_KEY", "apiKey", "api_key", "SECRET_KEY", "secretKey", "client_secret", "clientSecret", "ACCESS_TOKEN",
    "accessToken", "auth_token", "AUTH_TOKEN", "token", "private_key", "encryption_key", "signing_key", "app_secret",
    "webhook_secret", "JWT_SECRET", "refresh_token", "SERVICE_KEY", "license_key", "session_secret", "bot_token",
)  # fmt: skip
PASSWORD_NAMES = (
    "password",
    "PASSWORD",
    "db_password",
    "DB_PASSWORD",
    "dbPassword",
    "passwd",
    "MYSQL_PWD",
    "passphrase",
)


@functools.cache
def plants() -> tuple[Plant, ...]:
    """The whole corpus: always the same."""
    maker = Maker(SEED)
    made: list[Plant] = []
    for part in (_each_rule, _documented, _shapes, _assigned, _encoded, _in_pieces, _known):
        maker.still = PLANTS - len(made)
        made += part(maker)
    maker.random.shuffle(made)
    return tuple(made)


def known_values() -> list[str]:
    return sorted({plant.known for plant in plants() if plant.known})


def _around(maker: Maker, kind: str, rule: str, text: str, secret: str) -> Plant:
    file, frame = maker.random.choice(AROUND)
    return Plant(kind, rule, file, frame.format(text), (secret,))


def from_rule(maker: Maker, rule: Rule) -> tuple[str, str]:
    """(text, the secret in it) for a rule without a gate."""
    for _ in range(TRIES_MAX):
        text = maker.of_expression(rule.expression)
        found = re.search(rule.expression.replace(r"\z", r"\Z"), text)
        if found is None:
            continue
        secret = next((group for group in found.groups() if group), found.group())
        if len(set(secret)) > 6 and any(c.isdigit() for c in secret):
            return text, secret
    raise AssertionError(f"no text for {rule.name}")


def _each_rule(maker: Maker) -> Iterator[Plant]:
    for rule in RULES:
        if rule in SHAPES:
            continue
        for _ in range(RULE_TIMES):
            text, secret = from_rule(maker, rule)
            if rule.expression.endswith(r"\z)"):
                yield Plant("rule", rule.name, "settings.txt", f"one = 1\n{text}\ntwo = 2\n", (secret,))
            else:
                plant = _around(maker, "rule", rule.name, text, secret)
                if not any(keyword in plant.text.lower() for keyword in rule.keywords):
                    # A shape that says something only where its provider is named.
                    plant = plant._replace(text=f"about {rule.keywords[0]}\n{plant.text}")
                yield plant


def documented(maker: Maker) -> dict[str, Callable[[], str]]:
    """What providers' keys look like, written from their documentation and not from the rules."""
    m = maker
    lower = string.ascii_lowercase + string.digits
    upper = string.ascii_uppercase + string.digits
    return {
        "aws id": lambda: "AKIA" + m.some(string.ascii_uppercase + "234567", 16),
        "aws temporary id": lambda: "ASIA" + m.some(string.ascii_uppercase + "234567", 16),
        "google api": lambda: "AIzaSy" + m.some(WORD, 33),
        "google oauth": lambda: "GOCSPX-" + m.some(WORD, 28),
        "google access": lambda: "ya29." + m.some(WORD, 120),
        "github classic": lambda: "ghp_" + m.some(ALNUM, 36),
        "github app": lambda: "ghs_" + m.some(ALNUM, 36),
        "github oauth": lambda: "gho_" + m.some(ALNUM, 36),
        "github fine": lambda: "github_pat_" + m.some(ALNUM, 22) + "_" + m.some(ALNUM, 59),
        "gitlab": lambda: "glpat-" + m.some(WORD, 20),
        "gitlab routable": lambda: "glpat-" + m.some(WORD, 27) + ".01." + m.some(lower, 9),
        "gitlab runner": lambda: "glrt-" + m.some(WORD, 20),
        "npm": lambda: "npm_" + m.some(ALNUM, 36),
        "pypi": lambda: "pypi-AgEIcHlwaS5vcmcCJ" + m.some(WORD, 150),
        "rubygems": lambda: "rubygems_" + m.some(HEX, 48),
        "docker": lambda: "dckr_pat_" + m.some(WORD, 27),
        "openai old": lambda: "sk-" + m.some(ALNUM, 20) + "T3BlbkFJ" + m.some(ALNUM, 20),
        "openai project": lambda: "sk-proj-" + m.some(WORD, 74) + "T3BlbkFJ" + m.some(WORD, 74),
        "anthropic": lambda: "sk-ant-api03-" + m.some(WORD, 93) + "AA",
        "openrouter": lambda: "sk-or-v1-" + m.some(HEX, 64),
        "deepseek": lambda: "sk-" + m.key(HEX, 32),
        "groq": lambda: "gsk_" + m.some(ALNUM, 52),
        "hugging face": lambda: "hf_" + m.some(string.ascii_letters, 34),
        "replicate": lambda: "r8_" + m.some(ALNUM, 37),
        "xai": lambda: "xai-" + m.some(ALNUM, 80),
        "perplexity": lambda: "pplx-" + m.some(ALNUM, 48),
        "slack bot": lambda: f"xoxb-{m.some('123456789', 12)}-{m.some('123456789', 12)}-{m.some(ALNUM, 24)}",
        "slack user": lambda: f"xoxp-{m.some('123456789', 12)}-{m.some('123456789', 12)}-{m.some(HEX, 32)}",
        "slack app": lambda: f"xapp-1-A{m.some(upper, 10)}-{m.some('123456789', 13)}-{m.some(HEX, 64)}",
        "discord bot": lambda: f"discord_bot M{m.some(ALNUM, 25)}.{m.some(WORD, 6)}.{m.some(WORD, 38)}",
        "telegram": lambda: m.some("123456789", 10) + ":AA" + m.some(WORD, 33),
        "twilio": lambda: "SK" + m.some(HEX, 32),
        "sendgrid": lambda: f"SG.{m.some(WORD, 22)}.{m.some(WORD, 43)}",
        "mailchimp": lambda: m.some(HEX, 32) + "-us12",
        "mailgun": lambda: "key-" + m.some(HEX, 32),
        "stripe live": lambda: "sk_live_" + m.some(ALNUM, 24),
        "stripe long": lambda: "sk_live_51" + m.some(ALNUM, 97),
        "stripe restricted": lambda: "rk_live_" + m.some(ALNUM, 24),
        "stripe webhook": lambda: "whsec_" + m.some(ALNUM, 32),
        "shopify": lambda: "shpat_" + m.some(HEX, 32),
        "square": lambda: "sq0atp-" + m.some(WORD, 22),
        "digitalocean": lambda: "dop_v1_" + m.some(HEX, 64),
        "databricks": lambda: "dapi" + m.some(HEX, 32),
        "vault": lambda: "hvs." + m.some(WORD, 95),
        "terraform": lambda: m.some(ALNUM, 14) + ".atlasv1." + m.some(WORD, 67),
        "doppler": lambda: "dp.pt." + m.some(ALNUM, 43),
        "grafana": lambda: f"glsa_{m.some(ALNUM, 32)}_{m.some(HEX, 8)}",
        "new relic": lambda: "NRAK-" + m.some(upper, 27),
        "sentry": lambda: "sntryu_" + m.some(HEX, 64),
        "linear": lambda: "lin_api_" + m.some(ALNUM, 40),
        "notion": lambda: "ntn_" + m.some(ALNUM, 46),
        "airtable": lambda: f"pat{m.some(ALNUM, 14)}.{m.some(HEX, 64)}",
        "figma": lambda: "figd_" + m.some(WORD, 40),
        "postman": lambda: f"PMAK-{m.some(HEX, 24)}-{m.some(HEX, 34)}",
        "hubspot": lambda: "pat-na1-" + m.uuid(),
        "atlassian": lambda: "ATATT3xFfGF0" + m.some(WORD, 172) + "=" + m.some(HEX.upper(), 8),
        "bitbucket": lambda: "ATBB" + m.some(ALNUM, 32),
        "supabase": lambda: "sbp_" + m.some(HEX, 40),
        "netlify": lambda: "nfp_" + m.some(ALNUM, 36),
        "age": lambda: "AGE-SECRET-KEY-1" + m.some("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
        "azure storage": lambda: f"AccountName=a;AccountKey={m.some(BASE64, 86)}==;EndpointSuffix=core",
        "azure client": lambda: m.some(ALNUM, 3) + "8Q~" + m.some(ALNUM + "_~.-", 33) + "a",
        "tailscale": lambda: f"tskey-auth-{m.some(ALNUM, 17)}-{m.some(ALNUM, 32)}",
        "pulumi": lambda: "pul-" + m.some(HEX, 40),
        "planetscale": lambda: "pscale_tkn_" + m.some(WORD, 43),
        "jfrog": lambda: "AKCp" + m.some(ALNUM, 69),
        "circleci": lambda: f"CCIPAT_{m.some(ALNUM, 22)}_{m.some(HEX, 40)}",
        "sonar": lambda: "sqp_" + m.some(HEX, 40),
    }  # fmt: skip


_LEADING = re.compile(r"^(?:discord_bot |AccountName=a;AccountKey=)|;EndpointSuffix=core$")


def _documented(maker: Maker) -> Iterator[Plant]:
    for name, make in documented(maker).items():
        for _ in range(4):
            text = make()
            yield _around(maker, "documented", name, text, _LEADING.sub("", text))


def pem(maker: Maker, lines: int, end: str = "\n") -> str:
    body = end.join(maker.some(BASE64, 64) for _ in range(lines))
    kind = maker.random.choice(("RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED "))
    body += f"{end}{maker.some(BASE64, 30)}=={end}"
    return f"-----BEGIN {kind}PRIVATE KEY-----{end}{body}-----END {kind}PRIVATE KEY-----"


def jwt(maker: Maker) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": maker.some(string.digits, 10), "name": maker.some(ALNUM, 8)})
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*texts, maker.some(WORD, 43)))


def password(maker: Maker) -> str:
    """What a person or a program chooses."""
    kind = maker.random.randrange(4)
    if kind == 0:
        return maker.key(ALNUM, maker.random.randint(10, 24))
    if kind == 1:
        return maker.key(ALNUM + MARKS, 15) + maker.some(ALNUM, 1)
    if kind == 2:
        words = maker.random.choices(("River", "Copper", "Lantern", "Winter", "Orchid", "Falcon", "Marble"), k=2)
        return "".join(words) + maker.some("123456789", 3) + maker.random.choice("!#*?") + maker.some(ALNUM, 2)
    return maker.some(string.ascii_lowercase, 6) + maker.some(string.digits, 3) + maker.some(string.ascii_lowercase, 4)


def shape(rule: str, file: str, text: str, pieces: tuple[str, ...]) -> Plant:
    return Plant("shape", rule, file, text, pieces)


def _shapes(maker: Maker) -> Iterator[Plant]:
    for _ in range(11):
        user, word = maker.some(string.ascii_lowercase, 6), maker.key(ALNUM, 14)
        scheme = maker.random.choice(
            ("postgres", "postgresql+asyncpg", "mysql", "mongodb+srv", "redis", "amqp", "https", "ftp")
        )
        basic = base64.b64encode(f"{user}:{word}".encode()).decode()
        token, mail = maker.key(ALNUM, 32), maker.key(WORD, 40)
        key, escaped, web = pem(maker, 6), pem(maker, 4, "\\n"), jwt(maker)
        seed = " ".join(maker.some(string.ascii_lowercase, 6) for _ in range(12))
        odd = maker.key(string.ascii_lowercase + string.digits + "!@#$%^&*(-_=+)", 50)
        hashed = "$2b$12$" + maker.some("./" + ALNUM, 53)
        phrase = " ".join(
            maker.random.choices(("copper", "lantern", "river", "orchid", "falcon", "winter", "marble"), k=5)
        )
        yield from (
            shape("private-key", "key.txt", f"text\n{key}\nmore\n", tuple(key.splitlines()[1:-1])),
            shape("private-key", "account.json", f'{{"k": "{escaped}\\n"}}', tuple(escaped.split("\\n")[1:-1])),
            _around(maker, "shape", "jwt", web, web),
            _around(maker, "shape", "url-password", f"{scheme}://{user}:{word}@db.internal:5432/app", word),
            shape("url-token", "run.sh", f"git clone https://{token}@git.internal/a/b.git\n", (token,)),
            shape("query-secret", "a.md", f"Open https://api.internal/v1?size=3&access_token={mail}&x=1\n", (mail,)),
            shape("authorization-header", "a.http", f"GET /\nAuthorization: Bearer {mail}\nHost: a\n", (mail,)),
            shape("authorization-header", "a.py", f'headers = {{"Authorization": "Basic {basic}"}}\n', (basic,)),
            shape("authorization-header", "a.js", f"headers: {{ 'X-Api-Key': '{token}' }}\n", (token,)),
            shape("curl-user", "run.sh", f"curl -s -u {user}:{word} https://a.internal/x\n", (word,)),
            shape("cli-secret", "run.sh", f"app login --name {user} --password {word} --quiet\n", (word,)),
            shape("environment-secret", "Dockerfile", f"FROM a\nENV APP_TOKEN {token}\nRUN b\n", (token,)),
            shape("netrc-password", "n", f"machine a.b login {user} password {word}\n", (word,)),
            shape("sql-password", "a.sql", f"CREATE USER {user} IDENTIFIED BY '{word}';\n", (word,)),
            shape("sql-password", "a.sql", f"ALTER ROLE {user} WITH PASSWORD '{word}';\n", (word,)),
            shape("connection-string-password", "a.cs", f'x = "Server=a;Uid={user};Pwd={word};Port=3";\n', (word,)),
            shape("password-hash", "users.csv", f"1,{user},{hashed},admin\n", (hashed,)),
            shape("registry-auth", "config.json", f'{{"auths": {{"a.b": {{"auth": "{basic}"}}}}}}\n', (basic,)),
            shape("registry-auth", ".npmrc", f"//npm.internal/:_authToken={token}\n", (token,)),
            shape("xml-password", "s.xml", f"<server>\n  <password>{word}</password>\n</server>\n", (word,)),
            shape("pass-phrase", "a.py", f'passphrase = "{phrase}"\n', (phrase,)),
            shape("cli-short-password", "run.sh", f"sshpass -p '{word}' ssh {user}@a.internal\n", (word,)),
            shape("cli-short-password", "run.sh", f"mysqldump -u {user} -p{word} app > x.sql\n", (word,)),
            shape("piped-password", "run.sh", f'echo "{word}" | docker login -u {user} --password-stdin\n', (word,)),
            shape("user-and-password", "a.py", f'requests.get(url, auth=("{user}", "{word}"))\n', (word,)),
            shape("cookie", "a.http", f"GET /\nCookie: a=1; sessionid={token}; b=2\n", (token,)),
            shape("recovery-phrase", "a.env", f'MNEMONIC="{seed}"\n', (seed,)),
            shape("generic-secret", "settings.py", f"SECRET_KEY = 'django-insecure-{odd}'\n", (odd,)),
            shape("environment-secret", "a.ps1", f'Set-Item Env:API_TOKEN "{token}"\n', (token,)),
            shape("defined-secret", "wifi.h", f'#define WIFI_PASSWORD "{word}"\n', (word,)),
            shape("basic-pair", "a.js", f'h = "Basic " + btoa("{user}:{word}")\n', (word,)),
            shape("told-secret", "chat.md", f"The password is {word} for now.\n", (word,)),
            shape("password", "Main.java", f'private String dbPass = "{word}";\n', (word,)),
            shape("wireguard-key", "wg.conf", f"[Interface]\nPrivateKey = {maker.some(BASE64, 43)}=\n", ()),
        )  # fmt: skip


def _assigned(maker: Maker) -> Iterator[Plant]:
    values: tuple[Callable[[], str], ...] = (
        lambda: maker.key(HEX, 32), lambda: maker.key(HEX, 40), lambda: maker.key(HEX, 64),
        lambda: maker.key(ALNUM, 20), lambda: maker.key(ALNUM, 32), lambda: maker.key(ALNUM, 48),
        lambda: maker.key(WORD, 43).strip("-_"), lambda: maker.key(BASE64, 43) + "=", maker.uuid,
    )  # fmt: skip
    for _ in range(9):
        for file, frame in ASSIGNED:
            is_password = maker.random.random() < 0.4
            name = maker.random.choice(PASSWORD_NAMES if is_password else SECRET_NAMES)
            value = password(maker) if is_password else maker.random.choice(values)()
            yield Plant("assigned", "generic", file, "a = 1\n" + frame.format(n=name, v=value) + "b = 2\n", (value,))


def _encoded(maker: Maker) -> Iterator[Plant]:
    makes = list(documented(maker).values())
    for number in range(120):
        secret = maker.random.choice(makes)() if number % 3 else f"password = {password(maker)}"
        prefix = maker.some(string.ascii_lowercase, maker.random.randrange(0, 12)) + " "
        if number % 4 == 0:
            text = urllib.parse.quote(f"https://a.b/?q={prefix}{secret}&x=1".replace("=", "%3D"), safe="")
        elif number % 4 == 1:
            text = (prefix + secret).encode().hex()
        elif number % 4 == 2:
            text = base64.b64encode((prefix + secret + " and more").encode()).decode()
        else:
            text = base64.urlsafe_b64encode((prefix + secret).encode()).decode().rstrip("=")
        inner = text if number % 4 else urllib.parse.quote(_LEADING.sub("", secret.split(" = ")[-1]), safe="")
        yield _around(maker, "encoded", "encoded", text, inner)


SPLITS: tuple[tuple[str, str], ...] = (
    ("a.py", 'value = (\n    "{}"\n    "{}"\n)\n'),
    ("a.py", 'value = "{}" \\\n        "{}"\n'),
    ("a.js", "const value = '{}' +\n  '{}';\n"),
    ("a.java", 'String value = "{}"\n        + "{}";\n'),
    ("a.php", "$value = '{}' .\n    '{}';\n"),
    ("a.sh", "VALUE={}\\\n{}\n"),
    ("a.js", 'const value = "{}" + "{}"\n'),
)  # fmt: skip


def _in_pieces(maker: Maker) -> Iterator[Plant]:
    makes = list(documented(maker).values())
    for number in range(130):
        secret = maker.random.choice(makes)()
        if _LEADING.search(secret):
            secret = "glpat-" + maker.some(WORD, 20)
        cut = maker.random.randint(len(secret) // 3, len(secret) * 2 // 3)
        file, frame = SPLITS[number % len(SPLITS)]
        first, second = secret[:cut], secret[cut:]
        yield Plant("pieces", "pieces", file, "x = 1\n" + frame.format(first, second) + "y = 2\n", (first, second))


def spelled(maker: Maker, value: str, way: int) -> tuple[str, tuple[str, ...]]:
    """(text, its pieces): a known value in one of eleven ways to write it."""
    data = value.encode()
    before = maker.some(string.ascii_lowercase, maker.random.randrange(0, 7))
    text = value
    match way:
        case 1:
            text = base64.b64encode(before.encode() + data + b"end").decode()
        case 2:
            text = base64.urlsafe_b64encode(before.encode() + data).decode().rstrip("=")
        case 3:
            text = urllib.parse.quote(value, safe="")
        case 4:
            text = data.hex()
        case 5:
            text = data.hex().upper()
        case 6:
            text = json.dumps(value)[1:-1]
        case 7:
            cut = len(value) // 2
            frame = maker.random.choice(SPLITS)[1]
            return frame.format(value[:cut], value[cut:]), (value[:cut], value[cut:])
        case 8:
            text = "".join(f"\\x{c:02x}" for c in data)
        case 9:
            text = base64.b64encode(base64.b64encode(data)).decode()
        case 10:
            text = before + value + before
            return text, (value,)
        case _:
            pass
    # The ends of an encoded run also hold bits of what stands beside the value.
    return text, (text[len(before) * 2 :] if way in (1, 2) else text,)


def _known(maker: Maker) -> Iterator[Plant]:
    for number in range(maker.still):
        # No rule would find these: they are known, and that is all.
        value = "-".join(maker.random.choices(("copper", "lantern", "river", "orchid", "falcon", "winter"), k=2))
        value += maker.random.choice(("&", "/", "+", ":", "-", "_", '"', "%", "")) + maker.some(
            string.ascii_lowercase + "23", 5
        )
        text, pieces = spelled(maker, value, number % 11)
        if number % 11 == 7:
            yield Plant("known", "known-value", "a.txt", "x = 1\n" + text + "y = 2\n", pieces, value)
            continue
        file, frame = maker.random.choice(AROUND)
        yield Plant("known", "known-value", file, frame.format(text), pieces, value)

"""Which paths a task may name, and which of them it may change only if the user says so for these very bytes.

By name alone, so that a file is covered before it exists, and compared without regard to case, Unicode form, and the
dots and blanks that some file systems ignore. Whether a path leads out of the workspace through a link is for whoever
opens it to see (`agent.overlay`).
"""

import re
import unicodedata

from hearth.core.deny import is_secret
from hearth.core.invisible import cleaned

PATH_CHARS_MAX = 400
DEPTH_MAX = 40

_FOLDERS: dict[str, str] = {
    ".git": "git's own folder",
    ".hg": "Mercurial's own folder",
    ".svn": "Subversion's own folder",
    ".github": "it steers what runs at the code host",
    ".gitlab": "it steers what runs at the code host",
    ".gitea": "it steers what runs at the code host",
    ".forgejo": "it steers what runs at the code host",
    ".circleci": "it steers what runs at the code host",
    ".woodpecker": "it steers what runs at the code host",
    ".buildkite": "it steers what runs at the code host",
    ".ci": "it steers what runs at the code host",
    ".husky": "its programs run at every commit",
    ".githooks": "its programs run at every commit",
    ".vscode": "it steers the editor",
    ".vscode-server": "it steers the editor",
    ".idea": "it steers the editor",
    ".zed": "it steers the editor",
    ".fleet": "it steers the editor",
    ".devcontainer": "it says what is run when the folder is opened",
    ".cursor": "it steers an assistant",
    ".claude": "it steers an assistant",
    ".continue": "it steers an assistant",
    ".cline": "it steers an assistant",
    ".clinerules": "it steers an assistant",
    ".roo": "it steers an assistant",
    ".windsurf": "it steers an assistant",
    ".codeium": "it steers an assistant",
    ".hearth": "it steers an assistant",
    ".cargo": "it steers what the build runs",
    ".mvn": "it steers what the build runs",
    ".yarn": "it steers what the package manager runs",
    "node_modules": "it belongs to the package manager",
    ".venv": "it belongs to the package manager",
    "venv": "it belongs to the package manager",
    "site-packages": "it belongs to the package manager",
}
_RULES = "its words steer an assistant"
_BUILD = "the build runs what it says"
_PACKAGES = "the package manager runs what it says"
_LOCKED = "it says which code of others is taken"
_NAMES: dict[str, str] = {
    **dict.fromkeys(
        (
            "agents.md", "claude.md", "gemini.md", "copilot-instructions.md", ".cursorrules", ".clinerules",
            ".windsurfrules", ".roorules", ".roomodes", ".mcp.json", "mcp.json", ".aider.conf.yml",
        ),
        _RULES,
    ),
    **dict.fromkeys(
        (
            "makefile", "gnumakefile", "justfile", "taskfile.yml", "taskfile.yaml", "rakefile", "cmakelists.txt",
            "meson.build", "build", "build.bazel", "workspace", "build.gradle", "build.gradle.kts", "settings.gradle",
            "settings.gradle.kts", "gradlew", "gradlew.bat", "gradle.properties", "mvnw", "mvnw.cmd", "pom.xml",
            "build.rs", "setup.py", "setup.cfg", "noxfile.py", "tox.ini", "fabfile.py", "jenkinsfile",
            "procfile", "vagrantfile", "build.sbt", "build.xml", "gruntfile.js", "gulpfile.js", "gulpfile.ts",
        ),
        _BUILD,
    ),
    **dict.fromkeys(
        (
            "package.json", "pyproject.toml", "cargo.toml", "go.mod", "gemfile", "composer.json", ".npmrc", ".yarnrc",
            ".yarnrc.yml", ".pnpmfile.cjs", "pnpm-workspace.yaml", "pip.conf", "pipfile", "deno.json", "bunfig.toml",
        ),
        _PACKAGES,
    ),
    **dict.fromkeys(
        (
            "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lockb", "bun.lock",
            "uv.lock", "poetry.lock", "pdm.lock", "pipfile.lock", "cargo.lock", "go.sum", "go.work", "go.work.sum",
            "gemfile.lock", "composer.lock", "gradle.lockfile", "flake.nix", "flake.lock", "packages.lock.json",
        ),
        _LOCKED,
    ),
    **dict.fromkeys(
        (
            ".gitattributes", ".gitmodules", ".gitconfig", ".mailmap", ".gitignore", ".lfsconfig",
        ),
        "git acts on it",
    ),
    **dict.fromkeys(
        (
            ".cursorignore", ".continueignore", ".clineignore", ".aiignore", ".copilotignore", ".hearthignore",
        ),
        "it says what an assistant may read",
    ),
    **dict.fromkeys(
        (
            ".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", "appveyor.yml", ".drone.yml",
            "bitbucket-pipelines.yml", "cloudbuild.yaml", "buildspec.yml", ".pre-commit-config.yaml", "lefthook.yml",
            ".lintstagedrc", "renovate.json", "netlify.toml", "vercel.json", "fly.toml", "codeowners",
        ),
        "it steers what runs elsewhere or at a commit",
    ),
    **dict.fromkeys(
        ("sitecustomize.py", "usercustomize.py", "pytest.ini", ".pytest.ini", ".coveragerc"),
        "it steers every run of Python or of the tests",
    ),
    **dict.fromkeys(
        (
            ".bashrc", ".zshrc", ".profile", ".bash_profile", ".envrc", ".tool-versions", "mise.toml",
            ".python-version", ".nvmrc", ".node-version", "activate",
        ),
        "a shell acts on it",
    ),
}  # fmt: skip
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:.*\.)?(?:dockerfile|containerfile)(?:\..*)?"), "it says what a container runs"),
    (re.compile(r"(?:docker-)?compose(?:\.[\w-]+)*\.ya?ml"), "it says what a container runs"),
    (re.compile(r".*\.(?:mk|cmake|gradle|bzl|nix|sbt)"), _BUILD),
    (re.compile(r"(?:vite|vitest|jest|webpack|rollup|babel|eslint|prettier|postcss|tailwind|next|nuxt|svelte|astro|karma|"
                r"playwright|cypress|metro|tsup|esbuild)\.config\.[cm]?[jt]s"), "its code runs with the tools"),
    (re.compile(r"\.(?:eslintrc|babelrc|prettierrc|mocharc|swcrc)(?:\.\w+)?"), "it steers the tools"),
    (re.compile(r".*\.code-workspace"), "it steers the editor"),
    (re.compile(r".*\.pth"), "Python runs it at its start"),
    (re.compile(r"requirements[\w.-]*\.(?:txt|in)|constraints[\w.-]*\.txt"), _LOCKED),
    (re.compile(r".*\.mdc"), _RULES),
)  # fmt: skip
_SLASHES = "\u2044\u2215\u29f8\uff0f\uff3c\u29f5\u29f9\ufe68\u2216"
"""What looks like a slash, or a backslash, and is none."""
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")


def canonical(path: str) -> str:
    """A path as file systems may take it: without case, in one Unicode form, without what they ignore or hide."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFC", cleaned(path)[0])).casefold()
    parts = [part.split(":")[0].rstrip(". ") for part in text.replace("\\", "/").split("/")]
    return "/".join(part for part in parts if part)


def unfit(path: str) -> str:
    """Why a path cannot be one of the workspace's, "" if by its letters it may be."""
    if not path or len(path) > PATH_CHARS_MAX:
        return "a path has 1 to 400 characters"
    if "\\" in path or any(slash in path for slash in _SLASHES):
        return "paths are written with /"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:|[A-Za-z][\w+.-]*://", path):
        return "paths are relative to the workspace"
    if any(ord(char) < 32 or ord(char) == 127 for char in path) or cleaned(path)[0] != path:
        return "it has invisible characters"
    if any(0xD800 <= ord(char) <= 0xDFFF for char in path):
        return "it is no valid text"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it has empty parts, `.` or `..`"
    if len(parts) > DEPTH_MAX:
        return "it is too deep"
    if any(":" in part or part != part.rstrip(". ") or _DEVICE.fullmatch(part.casefold()) for part in parts):
        return "some file systems would take it for another"
    return ""


def secret(path: str) -> bool:
    """Whether a file is neither read nor changed, by its name."""
    return is_secret(path) or is_secret(canonical(path))


def protected(path: str) -> str:
    """Why the user is asked before this file is changed, a clause; "" if they need not be."""
    parts = canonical(path).split("/")
    for part in parts:
        if why := _FOLDERS.get(part):
            return why
    for part in parts:
        # A rules file's name may be a folder's, too.
        why = _NAMES.get(part)
        if why and (part == parts[-1] or why == _RULES):
            return why
    if "hooks" in parts[:-1]:
        return "its programs run at events"
    return next((why for pattern, why in _PATTERNS if pattern.fullmatch(parts[-1])), "")

"""A02: the library loads `.env` when it is imported, or believes the environment, and sends key and prompt elsewhere.

Controls: `courier.library.prepare` (production mode, environment cleaned, working directory left), the courier's own
environment, and our transport beneath the library, which takes no proxy from the environment.
"""

from pathlib import Path

from openrouter.emulator import Emulator
from threats.scene import KEY, Capture, Machine, posted


async def test_no_environment_and_no_env_file_redirects(tmp_path: Path) -> None:
    async with Capture() as far, Emulator() as router:
        proxy = f"http://127.0.0.1:{far.port}"
        names = ("OPENROUTER_API_BASE", "OPENROUTER_BASE_URL", "OPENAI_API_BASE", "OPENAI_BASE_URL", "OR_SITE_URL")
        proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        lines = {**dict.fromkeys(names, far.url), **dict.fromkeys(proxies, proxy), "OPENROUTER_API_KEY": "sk-theirs"}
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        machine = Machine(tmp_path, router.base_url)
        # In the workspace, above it, and beside an environment within it, which is where dotenv looks.
        machine.write({".env": text, ".venv/.env": text, "sub/.env": text, "a.py": "x = 1\n"})
        (tmp_path / ".env").write_text(text)
        told = await machine.ask("what is this?", "a.py", **{**lines, "OPENROUTER_API_KEY": KEY, "NO_PROXY": ""})
        assert told["text"], told["problem"]
        [request] = posted(router)
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert (far.connections, far.received) == (0, b"")

"""The emulator itself: it answers, refuses, counts and charges as OpenRouter's documents say."""

import asyncio
import json

import httpx
import pytest

from backends.fake import JSON, Answer
from openrouter.account import Account, Model, Refused
from openrouter.emulator import COMMENT, Emulator, Reply

FREE, PAID, CLAUDE = "qwen/qwen3-coder:free", "deepseek/deepseek-v3.2", "anthropic/claude-sonnet-4.5"
NOON = 1_795_262_400.0
KEY = {"Authorization": "Bearer sk-or-v1-test"}
HANG_S = 30


@pytest.fixture
async def router():
    async with Emulator(clock=lambda: NOON) as emulator:
        yield emulator


@pytest.fixture
async def client(router):
    async with httpx.AsyncClient(base_url=router.base_url, headers=KEY, trust_env=False, timeout=HANG_S) as client:
        yield client


def ask(model=FREE, content="hello", **more):
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


async def post(client, body=None, **how):
    return await client.post("/chat/completions", json=ask() if body is None else body, **how)


def said(response):
    return response.json()["error"]


def chunks(response):
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_models_are_listed_with_prices_as_text(client):
    listed = {entry["id"]: entry for entry in (await client.get("/models")).json()["data"]}
    assert listed[PAID]["pricing"] == {"prompt": "0.00000027", "completion": "0.0000004", "request": "0"}
    assert listed[FREE]["pricing"]["prompt"] == "0"
    assert listed["openrouter/auto"]["pricing"]["prompt"] == "-1"
    assert listed[CLAUDE]["top_provider"]["context_length"] == listed[CLAUDE]["context_length"] == 1_000_000
    tools = {e["id"] for e in (await client.get("/models?supported_parameters=tools")).json()["data"]}
    assert FREE in tools
    assert "xiaomi/mimo-v2-flash:free" not in tools
    zero = {e["model_id"] for e in (await client.get("/endpoints/zdr")).json()["data"]}
    assert FREE in zero
    assert "mistralai/devstral-2-2512:free" not in zero


async def test_an_expired_model_is_gone(router, client):
    router.clock = lambda: NOON + 366 * 86_400
    listed = {entry["id"] for entry in (await client.get("/models")).json()["data"]}
    assert "xiaomi/mimo-v2-flash:free" not in listed
    refused = await post(client, ask("xiaomi/mimo-v2-flash:free"))
    assert refused.status_code == 404
    assert said(refused)["availability"]["code"] == "free_variant_ended"


async def test_the_key_is_looked_at(client):
    assert (await client.get("/key")).json()["data"]["is_free_tier"] is True
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer other"}):
        for answer in (await client.get("/key", headers=headers), await post(client, headers=headers)):
            assert answer.status_code == 401
            assert said(answer)["code"] == 401
    credits = await client.get("/credits")
    assert credits.status_code == 403


async def test_a_stream_has_comments_pieces_a_finish_and_usage_last(router, client):
    router.then(Reply("a text that is longer than one piece"))
    answer = await post(client, ask(stream=True))
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.content.startswith(COMMENT)
    *pieces, finish, usage = chunks(answer)
    assert "".join(p["choices"][0]["delta"]["content"] for p in pieces) == "a text that is longer than one piece"
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 9
    assert {p["provider"] for p in pieces} == {"Chutes"}
    assert answer.headers["x-generation-id"] == pieces[0]["id"]
    record = (await client.get(f"/generation?id={pieces[0]['id']}")).json()["data"]
    assert (record["finish_reason"], record["cancelled"], record["native_tokens_completion"]) == ("stop", False, 9)
    assert "x-ratelimit-limit" not in answer.headers


async def test_without_a_stream_the_answer_is_one_object(client):
    answer = (await post(client)).json()
    assert answer["choices"][0]["message"]["content"].startswith("def add")
    assert answer["usage"]["cost"] == 0


async def test_an_error_in_the_middle_ends_the_stream(router, client):
    router.then(Reply("half", error=("server_error", "Provider disconnected", "provider_unavailable")))
    answer = await post(client, ask(stream=True))
    assert answer.status_code == 200
    assert b"[DONE]" not in answer.content
    last = json.loads(answer.text.strip().rpartition("data: ")[2])
    assert last["error"]["code"] == "server_error"
    assert last["choices"][0] == {**last["choices"][0], "finish_reason": "error", "delta": {"content": ""}}


async def test_tool_calls_come_in_pieces(router, client):
    router.then(Reply("", tool_calls=(("call_1", "read", '{"path": "a_long_name.py"}'),)))
    pieces = chunks(await post(client, ask(stream=True)))
    calls = [c for p in pieces for choice in p["choices"] for c in choice["delta"].get("tool_calls", ())]
    assert "".join(c["function"]["arguments"] for c in calls) == '{"path": "a_long_name.py"}'
    assert [c.get("id") for c in calls] == ["call_1", None, None, None]
    assert pieces[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "Invalid JSON"),
        ([], "object"),
        ({"model": FREE}, "messages"),
        ({"model": FREE, "messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}]}, "model"),
        ({"model": FREE, "messages": [{"role": "robot", "content": "x"}]}, "role"),
        (ask(stream="yes"), "stream"),
        (ask(max_tokens=0), "max_tokens"),
        (ask(session_id="x" * 257), "session_id"),
        (ask("no/such-model"), "not a valid model"),
        ({"model": FREE, "messages": [{"role": "tool", "tool_call_id": "a", "content": "x"}]}, "tool_call_id"),
    ],
)
async def test_400(client, body, says):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post("/chat/completions", content=data)
    assert answer.status_code == 400
    assert says in said(answer)["message"]


async def test_what_does_not_fit_the_context_is_refused(client):
    answer = await post(client, ask("xiaomi/mimo-v2-flash:free", "x" * 40_000))
    assert answer.status_code == 400
    assert said(answer)["metadata"]["error_type"] == "context_length_exceeded"
    assert "maximum context length is 8192 tokens" in said(answer)["message"]


async def test_413(client):
    assert (await post(client, ask(content="x" * 5_000_000))).status_code == 413


@pytest.mark.parametrize(
    ("model", "rules", "code"),
    [
        ("mistralai/devstral-2-2512:free", {"data_collection": "deny"}, "privacy_restricted"),
        ("mistralai/devstral-2-2512:free", {"zdr": True}, "privacy_restricted"),
        ("xiaomi/mimo-v2-flash:free", {"require_parameters": True}, "constraint_filtered"),
        (CLAUDE, {"max_price": {"prompt": 1}}, "constraint_filtered"),
        (FREE, {"only": ["Nobody"]}, "no_endpoints"),
    ],
)
async def test_provider_rules_are_kept(router, client, model, rules, code):
    answer = await post(client, ask(model, provider=rules, tools=[{"type": "function", "function": {"name": "f"}}]))
    assert (answer.status_code, said(answer)["availability"]["code"]) == (404, code)
    assert not router.generations


async def test_fallback_models_and_provider_order(client):
    body = ask("gone/model:free", models=["mistralai/devstral-2-2512:free", FREE])
    answer = (await post(client, {**body, "provider": {"data_collection": "deny", "order": ["Novita"]}})).json()
    assert (answer["model"], answer["provider"]) == (FREE, "Novita")


async def test_the_random_free_model_can_do_what_is_asked(router, client):
    router.models = tuple(m for m in router.models if m.id != FREE)
    plain = (await post(client, ask("openrouter/free"))).json()
    assert plain["model"] == "mistralai/devstral-2-2512:free"
    refused = await post(client, ask("openrouter/free", provider={"data_collection": "deny"}, tools=[{}]))
    assert refused.status_code == 404


async def test_twenty_free_requests_a_minute(router, client):
    now = NOON
    router.clock = lambda: now
    assert [(await post(client)).status_code for _ in range(21)] == [200] * 20 + [429]
    refused = await post(client)
    headers = said(refused)["metadata"]["headers"]
    assert said(refused)["message"].startswith("Rate limit exceeded: free-models-per-min")
    assert (headers["X-RateLimit-Remaining"], headers["X-RateLimit-Reset"]) == ("0", str(int(NOON + 60) * 1000))
    now += 60
    assert (await post(client)).status_code == 200


@pytest.mark.parametrize(("bought", "most"), [(0, 50), (10, 1_000)])
async def test_free_requests_a_day(router, client, bought, most):
    router.account.credits_ever = bought
    router.account.used_in_day[int(NOON) // 86_400] = most - 2
    router.then(Reply(refuse=Refused(502, "Provider returned error")))
    assert [(await post(client)).status_code for _ in range(3)] == [502, 200, 429], "a failed attempt counts"
    key = (await client.get("/key")).json()["data"]
    assert key["free_model_daily_requests"] == {"used": most, "limit": most, "remaining": 0}
    router.clock = lambda: NOON + 86_400
    assert (await post(client)).status_code == 200


async def test_paid_models_need_credits_and_stay_under_the_keys_limit(router, client):
    refused = await post(client, ask(PAID))
    assert (refused.status_code, said(refused)["metadata"]["limit_source"]) == (402, "openrouter_credits")
    router.account = Account(credits=5, credits_ever=5, limit=0.001)
    assert (await post(client, ask(PAID, "x" * 4_000, max_tokens=100))).status_code == 200
    cost = router.account.usage
    assert cost == pytest.approx((1_000 + 2) * 0.27e-6 + 8 * 0.4e-6)
    assert (await client.get("/key")).json()["data"]["limit_remaining"] == pytest.approx(0.001 - cost)
    refused = await post(client, ask(PAID, "x" * 40_000))
    assert (refused.status_code, said(refused)["metadata"]["limit_source"]) == (402, "openrouter_key_limit")


async def test_a_repeated_prefix_is_cached_where_the_provider_caches(router, client):
    router.account = Account(credits=50, credits_ever=50)
    plain = ask(PAID, "x" * 8_000, session_id="s")
    marked = ask(CLAUDE, [{"type": "text", "text": "x" * 8_000, "cache_control": {"type": "ephemeral"}}])
    for body, expected in ((plain, 1_984), (ask(CLAUDE, "x" * 8_000), 0), (marked, 1_984)):
        usages = [(await post(client, body)).json()["usage"] for _ in range(2)]
        assert [u["prompt_tokens_details"]["cached_tokens"] for u in usages] == [0, expected]
        assert (usages[1]["cost"] < usages[0]["cost"]) == bool(expected)
    other = (await post(client, {**plain, "session_id": "t"})).json()["usage"]
    assert other["prompt_tokens_details"]["cached_tokens"] == 0


@pytest.mark.parametrize("status", [403, 408, 502, 503])
async def test_scripted_refusals(router, client, status):
    router.then(Reply(refuse=Refused(status, "no", {"error_type": "x"}, headers=("Retry-After: 3",))))
    answer = await post(client)
    assert (answer.status_code, said(answer)["message"], answer.headers["retry-after"]) == (status, "no", "3")


async def test_any_bytes_can_be_scripted(router, client):
    router.then(Answer(b'{"choi', media=JSON, end="reset"), Answer(b"", "307 X", headers=("Location: /elsewhere",)))
    with pytest.raises(httpx.ReadError):
        await post(client)
    assert (await post(client)).status_code == 307


async def test_a_client_that_leaves_is_seen(router, client):
    router.then(Reply("begin", hang=True))
    async with client.stream("POST", "/chat/completions", json=ask(stream=True)) as answer:
        async for _ in answer.aiter_raw():
            break
    async with asyncio.timeout(HANG_S):
        await router.seen.gone.wait()
    assert [record["cancelled"] for record in router.generations.values()] == [True]


async def test_every_byte_is_kept(router):
    body = json.dumps(ask()).encode()
    raw = (
        b"POST /api/v1/chat/completions?x=1 HTTP/1.1\r\nHost: h\r\nX-Odd:  spaced \r\nAuthorization: Bearer"
        b" sk-or-v1-test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    writer.write(raw)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    assert [seen.raw for seen in router.captured] == [raw]
    assert router.captured[0].json == ask()


async def test_a_model_of_the_tests_own():
    async with Emulator(models=(Model("own/model:free", 100),)) as router, httpx.AsyncClient(trust_env=False) as client:
        listed = (await client.get(f"{router.base_url}/models")).json()["data"]
        assert [(m["id"], m["context_length"]) for m in listed] == [("own/model:free", 100)]

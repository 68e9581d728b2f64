"""The adapter for a shared Qdrant server: transport and faults against a fake, sharing against the same fake.

No Qdrant server runs here. `qdrant_fake` plays its documented REST interface over real HTTP, with the client's
in-memory mode behind it; what a real server does beyond that (clusters, its own limits) is not shown by these tests.
"""

import logging
import subprocess
import sys

import pytest
from qdrant_fake import FakeQdrant

from hearth.core.facts import Sparse
from hearth.errors import IndexAway
from hearth.index import points_server as module
from hearth.index.points import Point, PointsAway
from hearth.index.points_server import KEPT_DAYS, ServerPoints

KEY = "not-a-real-key-1234"


def sparse(*indices):
    return Sparse(tuple(sorted(indices)), (1.0,) * len(indices))


def found(points, vector, limit=10):
    return {uid for uid, _ in points.search(vector, limit)}


@pytest.fixture
def fake():
    server = FakeQdrant()
    yield server
    server.close()


@pytest.fixture
def connect(fake):
    """Someone who uses the server. Clocks are theirs: `day` counts days."""
    made = []

    def someone(repository="team/project", branch="main", *, day=100, url="", **more):
        points = ServerPoints(url or fake.url, more.pop("collection", "hearth"), repository, branch, **more)
        points._today = lambda: day
        made.append(points)
        return points

    yield someone
    for points in made:
        points.close()


@pytest.fixture
def patient(monkeypatch):
    """No pause after a failure."""
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    monkeypatch.setattr(module, "AGAIN_MAX_S", 0.0)


# Over the wire


def test_everything_works_over_the_wire(connect, fake):
    points = connect()
    assert fake.requests == [], "nothing is sent before the first question"
    assert points.search(sparse(1), 5) == []
    points.put([Point(n, sparse(1, 100 + n), content=n) for n in range(450)])
    assert points.count() == 450
    assert points.uids() == set(range(450))
    assert found(points, sparse(142), 1) == {42}
    points.put([Point(2**63 - 1, sparse(7))])
    assert found(points, sparse(7)) == {2**63 - 1}
    points.drop([42])
    points.flush()
    assert found(points, sparse(142), 1) == {42}
    sizes = [
        len(body["points"])
        for (m, p, _), body in zip(fake.requests, fake.bodies, strict=True)
        if m == "PUT" and p.endswith("/points")
    ]
    assert sizes == [200, 200, 50, 1]


def test_the_collection_is_made_for_its_purpose(connect, fake):
    connect().count()
    connect(collection="dense", dimensions=3).count()
    made = {
        p: b for (m, p, _), b in zip(fake.requests, fake.bodies, strict=True) if m == "PUT" and not p.endswith("/index")
    }
    assert made["/collections/hearth"]["sparse_vectors"] == {"t": {"modifier": "idf"}}
    assert made["/collections/hearth"]["vectors"] == {}
    assert made["/collections/dense"]["vectors"] == {"d": {"size": 3, "distance": "Cosine"}}
    for collection in ("hearth", "dense"):
        schema = {name: index["params"] for name, index in fake.indexes[collection].items()}
        assert schema["repo"] == {"type": "keyword", "is_tenant": True}
        assert schema["branch"] == {"type": "keyword"}
        assert schema["content"]["lookup"]
        assert schema["seen"]["range"]


def test_what_is_there_is_not_made_again(connect, fake):
    connect().put([Point(1, sparse(1))])
    fake.requests.clear()
    second = connect()
    second.count()
    second.count()
    assert [(m, p) for m, p, _ in fake.requests] == [
        ("GET", "/collections/hearth/exists"),
        ("GET", "/collections/hearth"),
        ("POST", "/collections/hearth/points/count"),
        ("POST", "/collections/hearth/points/count"),
    ]


def test_an_index_that_is_missing_is_made(connect, fake):
    """Whoever made the collection may have been killed meanwhile."""
    connect().count()
    del fake.indexes["hearth"]["seen"]
    connect().count()
    assert set(fake.indexes["hearth"]) == {"repo", "branch", "content", "seen"}


def test_two_who_make_it_at_once(connect, fake, monkeypatch):
    first, second = connect(), connect()
    real = fake._exists
    monkeypatch.setattr(fake, "_exists", lambda c, b: (real(c, b), (200, {"exists": False}))[1])
    first.put([Point(1, sparse(1))])
    second.put([Point(2, sparse(1))])
    assert second.uids() == {1, 2}


@pytest.mark.parametrize(("first", "then"), [(None, 3), (3, None), (3, 4)])
def test_a_collection_of_another_kind_is_left_alone(connect, fake, patient, first, then):
    mine = connect(dimensions=first)
    mine.put([Point(1, [1.0, 0.0, 0.0] if first else sparse(1))])
    with pytest.raises(PointsAway, match="another kind"):
        connect(dimensions=then).count()
    assert mine.uids() == {1}


def test_only_the_servers_own_paths_are_asked_for(connect, fake):
    """No version check, no telemetry: nothing but the questions."""
    points = connect()
    points.put([Point(1, sparse(1))])
    points.search(sparse(1), 1)
    points.renew([1])
    assert all(path.startswith("/collections/hearth") for _, path, _ in fake.requests)
    assert not any("api-key" in headers for _, _, headers in fake.requests)


def test_the_server_sees_neither_text_nor_path(connect, fake):
    points = connect()
    points.put([Point(5, sparse(1, 2), content=77)])
    body = next(body for (m, p, _), body in zip(fake.requests, fake.bodies, strict=True) if p.endswith("/points"))
    assert body["points"] == [
        {
            "id": 5,
            "vector": {"t": {"indices": [1, 2], "values": [1.0, 1.0]}},
            "payload": {"repo": "team/project", "branch": "main", "content": 77, "seen": 100},
        }
    ]


# Sharing


def test_the_same_file_is_stored_once(connect, fake):
    first, second = connect(), connect()
    for someone in (first, second):
        someone.put([Point(1, sparse(1)), Point(2, sparse(2))])
    assert first.count() == second.count() == 2


def test_repositories_and_branches_are_apart(connect):
    places = [("a", "main"), ("a", "work"), ("b", "main")]
    everyone = [connect(*place) for place in places]
    for n, someone in enumerate(everyone):
        someone.put([Point(n, sparse(1)), Point(10 + n, sparse(1))])
    for n, someone in enumerate(everyone):
        assert found(someone, sparse(1)) == someone.uids() == {n, 10 + n}
        assert someone.count() == 2


def test_one_who_drops_takes_nothing_from_the_others(connect):
    first, second = connect(), connect()
    first.put([Point(1, sparse(1))])
    first.drop([1])
    assert found(second, sparse(1)) == {1}


def test_what_nobody_renews_goes_in_the_end(connect):
    connect(day=100).put([Point(n, sparse(1)) for n in (1, 2, 3)])
    connect("other", day=100).put([Point(9, sparse(1))])
    assert connect(day=100 + KEPT_DAYS).renew([1, 2]) == set()
    assert connect(day=100).uids() == {1, 2, 3}, "not yet"
    assert connect(day=101 + KEPT_DAYS).renew([1]) == set()
    assert connect(day=100).uids() == {1, 2}
    assert connect("other").uids() == {9}, "each renews their own repository"


def test_what_the_server_lost_is_named(connect, fake):
    """By an administrator, or because nobody came for a month: those files are to be read again."""
    points = connect()
    points.put([Point(1, sparse(1)), Point(2, sparse(2))])
    assert points.renew([1, 2, 3]) == {3}
    assert points.renew([]) == set()


def test_a_content_is_embedded_once(connect):
    first = connect(collection="dense", dimensions=2)
    first.put([Point(1, [3.0, 4.0], content=11), Point(2, [0.0, 1.0], content=12), Point(3, [3.0, 4.0], content=11)])
    second = connect("another repository", "work", collection="dense", dimensions=2)
    known = second.known_vectors([11, 12, 13])
    assert set(known) == {11, 12}
    assert known[11] == pytest.approx([0.6, 0.8])
    assert known[12] == pytest.approx([0.0, 1.0])
    assert second.known_vectors([]) == {}
    assert len(second.known_vectors([*range(300)])) == 2
    second.put([Point(5, known[11], content=11)])
    assert [uid for uid, _ in second.search([3.0, 4.0], 1)] == [5]


# Faults


@pytest.mark.parametrize(
    "fault", ["500", "503", "400", "403", "404", "cut", "shut", "busy", "web page", "null", "other", "redirect", "hang"]
)
def test_every_fault_has_one_name_and_passes(connect, fake, patient, fault):
    points = connect()
    points.put([Point(1, sparse(1))])
    elsewhere = FakeQdrant()
    fake.elsewhere, fake.fault = elsewhere.url, fault
    asks = [lambda: points.search(sparse(1), 1)]
    if fault != "hang":
        asks += [points.uids, points.count, lambda: points.put([Point(2, sparse(1))]), lambda: points.renew([1])]
    try:
        for ask in asks:
            with pytest.raises(PointsAway) as caught:
                ask()
            assert isinstance(caught.value, IndexAway)
            assert caught.value.remedy
            assert "secret detail" not in str(caught.value)
        assert elsewhere.requests == []
    finally:
        fake.fault = ""
        fake.released.set()
        elsewhere.close()
    points.put([Point(2, sparse(1))])
    assert found(points, sparse(1)) == {1, 2}


def test_a_server_that_went_away_is_asked_again_after_a_pause(connect, fake, monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    points = connect()
    points.put([Point(1, sparse(1))])
    fake.fault = "503"
    with pytest.raises(PointsAway):
        points.count()
    asked = len(fake.requests)
    for _ in range(5):
        with pytest.raises(PointsAway, match="503"):
            points.search(sparse(1), 1)
    assert len(fake.requests) == asked, "left alone meanwhile"
    fake.fault = ""
    now[0] += module.AGAIN_S + 0.1
    assert found(points, sparse(1)) == {1}
    assert points.count() == 1


def test_a_server_that_names_a_pause_gets_it(connect, fake, monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    points = connect()
    fake.fault = "busy"
    with pytest.raises(PointsAway):
        points.count()
    fake.fault = ""
    now[0] += 59
    with pytest.raises(PointsAway):
        points.count()
    now[0] += 2
    assert points.count() == 0


def test_a_server_that_is_not_there_yet(connect, fake, patient):
    fake.stop()
    points = connect()
    for _ in range(3):
        with pytest.raises(PointsAway):
            points.put([Point(1, sparse(1))])
    fake.start()
    points.put([Point(1, sparse(1))])
    fake.stop()
    with pytest.raises(PointsAway):
        points.search(sparse(1), 1)
    fake.start()
    assert found(points, sparse(1)) == {1}


def test_a_collection_that_somebody_deletes_is_made_again(connect, fake, patient):
    points = connect()
    points.put([Point(1, sparse(1))])
    fake.lose("hearth")
    with pytest.raises(PointsAway):
        points.count()
    assert points.renew([1]) == {1}
    points.put([Point(1, sparse(1))])
    assert found(points, sparse(1)) == {1}
    assert set(fake.indexes["hearth"]) == {"repo", "branch", "content", "seen"}


# The key, the address


def test_the_key_is_sent_and_never_told(connect, fake, patient, caplog):
    fake.key = KEY
    with caplog.at_level(logging.DEBUG):
        points = connect(api_key=KEY)
        points.put([Point(1, sparse(1))])
        assert fake.requests[-1][2]["api-key"] == KEY
        for fault in ("500", "cut", "web page"):
            fake.fault = fault
            with pytest.raises(PointsAway) as caught:
                points.count()
            assert KEY not in str(caught.value) + repr(caught.value.__cause__)
        fake.fault = ""
        with pytest.raises(PointsAway, match="does not accept the key"):
            connect(api_key="wrong").count()
    assert KEY not in caplog.text
    assert KEY not in repr(points)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:6333", "ftp://x", "http://", "http://x:port", "http://[", "file:///etc"]
)
def test_an_address_that_is_none(url):
    with pytest.raises(PointsAway, match="not an address"):
        ServerPoints(url, "c", "r", "b")


def test_a_key_does_not_travel_in_the_clear():
    with pytest.raises(PointsAway, match="unencrypted"):
        ServerPoints("http://qdrant.example:6333", "c", "r", "b", api_key=KEY)
    ServerPoints("https://qdrant.example:6333", "c", "r", "b", api_key=KEY).close()
    ServerPoints("http://[::1]:6333", "c", "r", "b", api_key=KEY).close()


def test_a_name_in_the_address_is_not_used(connect, fake):
    points = connect(url=fake.url.replace("http://", "http://me:secret@") + "/")
    assert points.count() == 0
    assert not any("authorization" in headers for _, _, headers in fake.requests)


def test_proxies_of_the_environment_are_not_used(connect, fake, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert connect().count() == 0


def test_the_client_is_imported_with_this_module_alone():
    code = "import sys, hearth.index.points, hearth.index.manifest; print('qdrant_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr

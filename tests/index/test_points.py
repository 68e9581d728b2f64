"""What every store of points must do, asked of Qdrant Edge in a folder and of the server's adapter alike.

The server's adapter runs on the client's in-memory mode here, which has a server's semantics but no transport; that is
tested in test_points_server, against a fake. Scores differ between the two and are never compared, nor are orders that
hang on more than which terms a point shares with the query.
"""

import math
import warnings
from contextlib import closing

import pytest
from qdrant_client import QdrantClient

from hearth.core.facts import Sparse
from hearth.index.points import BATCH_MAX, UID_MAX, EdgePoints, Point, PointsAway
from hearth.index.points_server import ServerPoints

WHERE = ("host/team/project", "main")


@pytest.fixture
def memory():
    with warnings.catch_warnings(), closing(QdrantClient(":memory:")) as client:
        warnings.filterwarnings("ignore", "Payload indexes have no effect")
        yield client


@pytest.fixture(params=["edge", "server"])
def opened(request, tmp_path, memory):
    """Opens the same store again and again, for one kind of vectors."""
    made = []

    def open_it(dimensions=None):
        for points in made:
            points.close()
        if request.param == "edge":
            points = EdgePoints(tmp_path / f"points {dimensions}", dimensions)
        else:
            points = ServerPoints("", f"c{dimensions}", *WHERE, dimensions=dimensions, client=memory)
            points.close = lambda: None  # its contents would go with it
        made.append(points)
        return points

    yield open_it
    for points in made:
        points.close()


@pytest.fixture
def keeps_dropped(request):
    """A shared store keeps what one user drops."""
    return "server" in request.node.callspec.id


def sparse(*indices, weight=1.0):
    return Sparse(tuple(sorted(indices)), (weight,) * len(indices))


def found(points, vector, limit=10):
    return [uid for uid, _ in points.search(vector, limit)]


def test_an_empty_store(opened):
    points = opened()
    assert points.search(sparse(1), 10) == []
    assert points.uids() == set()
    assert points.count() == 0
    points.put([])
    points.drop([])
    points.drop([1, 2, UID_MAX])
    points.flush()


def test_what_shares_a_term_is_found_best_first(opened):
    points = opened()
    points.put([Point(1, sparse(10, 11)), Point(2, sparse(10, 12, 13)), Point(3, sparse(14)), Point(4, sparse(15))])
    assert found(points, sparse(10, 12, 13))[:2] == [2, 1]
    assert set(found(points, sparse(10))) == {1, 2}
    assert found(points, sparse(99)) == []
    assert found(points, sparse(10, 12), limit=1) == [2]
    assert found(points, sparse(10), limit=0) == []
    assert found(points, sparse()) == []
    scores = [score for _, score in points.search(sparse(10, 11, 12), 10)]
    assert scores == sorted(scores, reverse=True)
    assert all(isinstance(uid, int) and isinstance(score, float) for uid, score in points.search(sparse(10), 10))


def test_rare_terms_weigh_more(opened):
    points = opened()
    points.put([Point(n, sparse(1, 100 + n)) for n in range(50)])
    points.put([Point(60, sparse(1, 7)), Point(61, sparse(7, 8)), Point(62, sparse(8))])
    assert set(found(points, sparse(1, 8), 2)) == {61, 62}, "the idf is the store's to compute"


def test_weights_count(opened):
    points = opened()
    points.put([Point(1, Sparse((5, 6), (3.0, 0.1))), Point(2, Sparse((5, 6), (0.1, 3.0)))])
    assert found(points, Sparse((5, 6), (1.0, 0.1))) == [1, 2]
    assert found(points, Sparse((5, 6), (0.1, 1.0))) == [2, 1]


def test_putting_twice_is_putting_once(opened):
    points = opened()
    for _ in range(3):
        points.put([Point(1, sparse(10)), Point(2, sparse(11))])
    assert points.uids() == {1, 2}
    assert points.count() == 2
    points.put([Point(1, sparse(12))])
    assert found(points, sparse(10)) == []
    assert found(points, sparse(12)) == [1]
    points.put([Point(3, sparse(20)), Point(3, sparse(21))])
    assert found(points, sparse(21)) == [3]


def test_numbers_and_terms_of_every_size(opened):
    points = opened()
    uids = {0, 1, 2**31, 2**53 + 1, UID_MAX}
    points.put([Point(uid, sparse(0, 2**32 - 1)) for uid in uids])
    assert points.uids() == uids
    assert set(found(points, sparse(2**32 - 1))) == uids
    points.put([Point(9, Sparse((), ()))])
    assert 9 in points.uids()
    assert 9 not in found(points, sparse(0))


def test_dropped_points_are_gone_where_they_are_ones_own(opened, keeps_dropped):
    points = opened()
    points.put([Point(uid, sparse(10)) for uid in range(5)])
    points.drop([1, 3, 77, 1])
    left = {0, 1, 2, 3, 4} if keeps_dropped else {0, 2, 4}
    assert points.uids() == left
    assert points.count() == len(left)
    assert set(found(points, sparse(10))) == left
    points.put([Point(1, sparse(10))])
    assert 1 in found(points, sparse(10))


def test_more_than_one_batch(opened):
    points = opened()
    many = BATCH_MAX * 3 + 7
    points.put(Point(n, sparse(1, 1_000 + n)) for n in range(many))
    assert points.count() == many
    assert points.uids() == set(range(many))
    assert all(found(points, sparse(1_000 + n), 1) == [n] for n in (0, BATCH_MAX, many - 1))
    assert len(found(points, sparse(1), many + 5)) == many


def test_it_is_still_there_when_opened_again(opened):
    points = opened()
    points.put([Point(1, sparse(10)), Point(2, sparse(11))])
    points.flush()
    points.put([Point(3, sparse(12))])
    again = opened()
    assert again.uids() == {1, 2, 3}
    assert found(again, sparse(12)) == [3]


def test_dense_vectors_by_their_angle(opened):
    points = opened(3)
    assert points.search([1.0, 0.0, 0.0], 5) == []
    points.put(
        [Point(1, [1.0, 0.0, 0.0]), Point(2, (0.0, 2.0, 0.0)), Point(3, [5.0, 5.0, 0.0]), Point(4, [0.0, 0.0, -1.0])]
    )
    assert found(points, [1.0, 0.1, 0.0]) == [1, 3, 2, 4]
    assert found(points, (0.0, 1.0, 0.0), limit=2) == [2, 3]
    assert all(math.isfinite(score) for _, score in points.search([0.0, 0.0, 0.0], 5))
    assert points.uids() == {1, 2, 3, 4}
    assert opened(3).count() == 4


@pytest.mark.parametrize(
    ("dimensions", "vector"), [(None, [1.0, 2.0]), (3, sparse(1)), (3, [1.0, 2.0]), (3, [1.0] * 4), (3, [])]
)
def test_a_vector_of_another_kind_is_refused(opened, dimensions, vector):
    points = opened(dimensions)
    good = [1.0, 0.0, 0.0] if dimensions else sparse(1)
    points.put([Point(1, good)])
    with pytest.raises(ValueError, match="vector"):
        points.put([Point(2, good), Point(3, vector)])
    with pytest.raises(ValueError, match="vector"):
        points.search(vector, 1)
    assert points.uids() == {1}
    assert found(points, good) == [1]


def test_after_closing_it_says_so(opened, keeps_dropped):
    points = opened()
    (ServerPoints.close if keeps_dropped else EdgePoints.close)(points)
    points.close()
    for ask in (
        points.uids,
        points.count,
        lambda: points.put([Point(1, sparse(1))]),
        lambda: points.search(sparse(1), 1),
    ):
        with pytest.raises(PointsAway):
            ask()

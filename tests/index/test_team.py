"""One index for several people: two projects on one Qdrant store (the client's in-memory mode, without transport)."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from hearth.index.indexing import FolderWork
from hearth.index.points import Points
from hearth.index.points_server import ServerPoints
from hearth.index.project import open_project
from hearth.index.reading import Reader
from hearth.index.team import Team, identity, team_of
from hearth.index.walk import Folder

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
WAIT_S = 20.0
MODEL = "embedder"
CIRCLE = "class Circle:\n    def circumference(self) -> float:\n        return 6.28 * self.radius\n"
SQUARE = "class Square:\n    def perimeter(self) -> float:\n        return 4 * self.side\n"


class Shared(Team):
    """A place on one store in memory, instead of a server."""

    client: QdrantClient

    def sparse(self) -> Points:
        return ServerPoints(self.url, "words", self.repository, self.branch, client=self.client)

    def dense(self, model: str, dimensions: int) -> Points:
        return ServerPoints(self.url, model, self.repository, self.branch, dimensions=dimensions, client=self.client)


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FolderWork]:
    """`person(name, branch, files)` has read their copy of the repository."""
    Shared.client = QdrantClient(":memory:")
    monkeypatch.setattr(Shared.client, "close", lambda: None)

    def begin(name: str, files: dict[str, str], branch: str = "main") -> FolderWork:
        root = tmp_path / name / "project"
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        reader = Reader(lambda: None)
        team = Shared("memory", "", "example.org/a/b", branch)
        work = FolderWork(Folder(root), open_project(tmp_path / name / "home", team), reader, team.salt)
        work.begin([])
        settle(work, reader)
        return work

    return begin


def settle(work: FolderWork, reader: Reader) -> None:
    until = time.monotonic() + WAIT_S
    while not work.settled or work.state == "walking":
        assert time.monotonic() < until
        if not reader.take() and not work.busy:
            time.sleep(0.002)
        work.step()


def found(work: FolderWork, query: str) -> set[str]:
    return {hit.path for hit in work.project.find(query, 10)}


def embedded(work: FolderWork) -> int:
    """Embed what is missing, with a vector of the text's length; how many that were."""
    count = 0
    while texts := work.project.dense.exchange({"model": MODEL, "who": "me", "limit": 16})["texts"]:
        vectors = [[uid, [float(len(text)), 1.0, 2.0]] for uid, _, _, text in texts]
        work.project.dense.exchange({"model": MODEL, "who": "me", "put": vectors})
        count += len(texts)
    return count


def test_each_finds_what_they_have_and_nothing_else(person: Callable[..., FolderWork]) -> None:
    one = person("one", {"circle.py": CIRCLE, "square.py": SQUARE})
    two = person("two", {"circle.py": CIRCLE})
    assert found(one, "perimeter") == {"square.py"}
    assert found(two, "perimeter") == set()
    assert found(two, "circumference") == found(one, "circumference") == {"circle.py"}
    assert one.project._points.count() == 2


def test_what_one_deletes_the_other_keeps(person: Callable[..., FolderWork], tmp_path: Path) -> None:
    one, two = person("one", {"circle.py": CIRCLE}), person("two", {"circle.py": CIRCLE})
    one.project.remove(["circle.py"])
    assert found(one, "circumference") == set()
    assert found(two, "circumference") == {"circle.py"}


def test_a_file_is_embedded_once_for_all(person: Callable[..., FolderWork]) -> None:
    one = person("one", {"circle.py": CIRCLE, "square.py": SQUARE})
    assert embedded(one) == 2
    two = person("two", {"circle.py": CIRCLE, "square.py": SQUARE, "new.py": "def dodecahedron(): ...\n"})
    assert two.project.dense.exchange({"model": MODEL, "who": "me"})["embedded"] == 0
    assert embedded(two) == 1  # that gives the size; the others are there already
    assert two.project.dense.status()["left"] == 0


def test_a_branch_is_a_place_of_its_own(person: Callable[..., FolderWork]) -> None:
    one = person("one", {"circle.py": CIRCLE})
    one.close()
    other = person("one", {"circle.py": SQUARE}, branch="other")
    assert found(other, "perimeter") == {"circle.py"}
    assert found(other, "circumference") == set()
    other.close()
    again = person("one", {"circle.py": CIRCLE})
    assert found(again, "circumference") == {"circle.py"}


def test_what_the_server_lost_is_read_again(person: Callable[..., FolderWork]) -> None:
    one = person("one", {"circle.py": CIRCLE})
    one.project._points._client.delete_collection("words")
    one.close()
    again = person("one", {"circle.py": CIRCLE})
    again.project._manifest.set_meta("renewed", "0")
    assert again.project.renew(10**6)
    assert again.project.file("circle.py") is None


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("git@example.org:team/project.git", "example.org/team/project"),
        ("https://user:secret@example.org/team/project", "example.org/team/project"),
        ("ssh://git@Example.org:22/team/project.git", "example.org/team/project"),
    ],
)
def test_everybody_has_the_same_name_for_a_repository(tmp_path: Path, origin: str, name: str) -> None:
    git = tmp_path / ".git"
    git.mkdir()
    (git / "config").write_text(f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {origin}\n')
    (git / "HEAD").write_text("ref: refs/heads/feature/x\n")
    assert identity(tmp_path) == (name, "feature/x")


def test_a_folder_without_git_has_its_own_name(tmp_path: Path) -> None:
    assert identity(tmp_path) == (tmp_path.name, "")
    assert team_of("", "", tmp_path) is None

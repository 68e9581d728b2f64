"""Imports of a whole project, from a list of its paths."""

from collections.abc import Sequence

import pytest

from hearth.core.facts import Import
from hearth.core.resolver import Resolver

PATHS = (
    "shop/__init__.py", "shop/models/__init__.py", "shop/models/order.py", "shop/models/item.py", "shop/views.py",
    "shop/json.py", "other/models/order.py", "web/src/cart.ts", "web/src/index.ts", "web/src/util/money.ts", "main.py",
    "crate/src/lib.rs", "crate/src/shape/mod.rs", "java/src/com/acme/Order.java", "go/store/a.go", "go/store/b.go",
    "go/cmd/main.go", "c/list.h", "c/list.c",
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "imports", "expected"),
    [
        ("shop/views.py", [Import("shop.models.order", 0)], ["shop/models/order.py"]),
        ("shop/views.py", [Import(".models", 0, (("item", "item"),))], ["shop/models/__init__.py",
                                                                        "shop/models/item.py"]),
        ("shop/views.py", [Import(".models.order", 0, (("Order", "Order"),))], ["shop/models/order.py"]),
        ("shop/views.py", [Import("json", 0), Import("os", 1)], []),
        ("other/models/x.py", [Import(".order", 0)], ["other/models/order.py"]),
        ("shop/models/item.py", [Import("models.order", 0)], ["shop/models/order.py"]),
        ("main.py", [Import("shop", 0), Import("shop", 1)], ["shop/__init__.py"]),
        ("shop/models/__init__.py", [Import(".order", 0), Import(".item", 1)], ["shop/models/order.py",
                                                                               "shop/models/item.py"]),
        ("web/src/cart.ts", [Import("./util/money", 0), Import(".", 1)], ["web/src/util/money.ts", "web/src/index.ts"]),
        ("crate/src/other.rs", [Import("super::shape", 0)], ["crate/src/shape/mod.rs"]),
        ("crate/src/lib.rs", [Import("crate::shape::Circle", 0)], ["crate/src/shape/mod.rs"]),
        ("java/src/com/acme/Main.java", [Import("com.acme.Order", 0)], ["java/src/com/acme/Order.java"]),
        ("go/cmd/main.go", [Import("example.com/go/store", 0)], ["go/store/a.go", "go/store/b.go"]),
        ("c/list.c", [Import("list.h", 0), Import("stdio.h", 1)], ["c/list.h"]),
        ("notes.txt", [Import("shop", 0)], []),
    ],
)  # fmt: skip
def test_imports_are_resolved_from_a_list_of_paths(path: str, imports: Sequence[Import], expected: list[str]) -> None:
    resolver = Resolver(PATHS)
    assert list(resolver.files(path, imports)) == expected
    assert list(resolver.files(path, imports)) == expected, "the same from what it remembers"


def test_a_file_never_imports_itself_also_where_a_neighbour_was_asked_first() -> None:
    resolver = Resolver(["a/x.py", "a/y.py", "b/x.py"])
    assert resolver.files("a/y.py", [Import("x", 0)]) == ("a/x.py",)
    assert resolver.files("a/x.py", [Import("x", 0)]) == ("b/x.py",)
    assert resolver.files("a/y.py", [Import("x", 0)]) == ("a/x.py",)

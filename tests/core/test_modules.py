"""Imports of every language, as written, in small projects given as lists of paths."""

import pytest

from hearth.core.modules import CANDIDATES_MAX, best, candidates, inner, resolved

PYTHON = """
src/shop/__init__.py src/shop/cart.py src/shop/models/__init__.py src/shop/models/item.py src/shop/logging.py
src/shop/stubs.pyi tools/cart.py tests/helpers.py tests/test_cart.py other/shop/cart.py
"""
SCRIPT = """
src/app.ts src/shape.ts src/shape.d.ts src/widgets/index.tsx src/widgets/button.tsx src/util.js src/view.vue
packages/core/src/index.ts packages/core/src/deep.ts packages/ui/index.ts src/components/card.tsx
"""
GO = "cmd/main.go internal/store/store.go internal/store/query.go internal/store/README.md pkg/web/web.go"
RUST = """
crates/core/src/lib.rs crates/core/src/model.rs crates/core/src/net/mod.rs crates/core/src/net/tcp.rs
crates/cli-tool/src/main.rs crates/cli-tool/src/args.rs
"""
JVM = "app/src/main/java/org/shop/Cart.java app/src/main/java/org/shop/model/Item.java lib/org/shop/Kart.kt"
CSHARP = "Shop/Models/Item.cs Shop/Models/Cart.cs Shop/Program.cs"
PHP = "app/Models/User.php app/Http/Kernel.php src/Mailer.php lib/setup.php app/index.php"
C = "src/main.c src/shape.h include/lib/shape.h include/lib/list.h src/lib/list.h"
RUBY = "lib/shop.rb lib/shop/cart.rb spec/cart_spec.rb spec/help.rb"
DART = "lib/main.dart lib/src/cart.dart packages/other/lib/other.dart"
SHELL = "bin/run.sh bin/lib.sh lib/common.bash"
STYLE = "styles/main.scss styles/_colours.scss styles/parts/button.css"


@pytest.mark.parametrize(
    ("project", "language", "importer", "module", "expected"),
    [
        (PYTHON, "python", "src/shop/cart.py", ".models.item", "src/shop/models/item.py"),
        (PYTHON, "python", "src/shop/cart.py", ".models", "src/shop/models/__init__.py"),
        (PYTHON, "python", "src/shop/models/item.py", "..cart", "src/shop/cart.py"),
        (PYTHON, "python", "src/shop/models/item.py", "..", "src/shop/__init__.py"),
        (PYTHON, "python", "src/shop/cart.py", "....far", ""),
        (PYTHON, "python", "tests/test_cart.py", "shop.models.item", "src/shop/models/item.py"),
        (PYTHON, "python", "other/main.py", "shop.cart", "other/shop/cart.py"),
        (PYTHON, "python", "src/shop/models/item.py", "shop.cart", "src/shop/cart.py"),
        (PYTHON, "python", "src/shop/cart.py", "shop.stubs", "src/shop/stubs.pyi"),
        (PYTHON, "python", "tests/test_cart.py", "helpers", "tests/helpers.py"),
        (PYTHON, "python", "src/shop/cart.py", "logging", ""),
        (PYTHON, "python", "src/shop/models/item.py", "shop.logging", "src/shop/logging.py"),
        (PYTHON, "python", "src/shop/cart.py", "numpy", ""),
        (SCRIPT, "typescript", "src/app.ts", "./shape", "src/shape.ts"),
        (SCRIPT, "typescript", "src/app.ts", "./shape.js", "src/shape.ts"),
        (SCRIPT, "typescript", "src/app.ts", "./util.js", "src/util.js"),
        (SCRIPT, "typescript", "src/widgets/button.tsx", "../shape", "src/shape.ts"),
        (SCRIPT, "typescript", "src/app.ts", "./widgets", "src/widgets/index.tsx"),
        (SCRIPT, "typescript", "src/app.ts", "./view.vue", "src/view.vue"),
        (SCRIPT, "typescript", "src/app.ts", "@acme/core", "packages/core/src/index.ts"),
        (SCRIPT, "typescript", "src/app.ts", "@acme/core/deep", "packages/core/src/deep.ts"),
        (SCRIPT, "javascript", "src/app.js", "ui", "packages/ui/index.ts"),
        (SCRIPT, "typescriptreact", "src/app.tsx", "@/components/card", "src/components/card.tsx"),
        (SCRIPT, "typescript", "src/app.ts", "node:fs", ""),
        (SCRIPT, "typescript", "src/app.ts", "util", ""),
        (SCRIPT, "typescript", "src/app.ts", "../../outside", ""),
        (GO, "go", "cmd/main.go", "example.org/shop/internal/store", "internal/store/query.go internal/store/store.go"),
        (GO, "go", "cmd/main.go", "fmt", ""),
        (RUST, "rust", "crates/core/src/net/tcp.rs", "crate::model::Item", "crates/core/src/model.rs"),
        (RUST, "rust", "crates/core/src/lib.rs", "crate::net", "crates/core/src/net/mod.rs"),
        (RUST, "rust", "crates/core/src/net/tcp.rs", "super::super::model", "crates/core/src/model.rs"),
        (RUST, "rust", "crates/core/src/lib.rs", "model", "crates/core/src/model.rs"),
        (RUST, "rust", "crates/core/src/net/mod.rs", "self::tcp", "crates/core/src/net/tcp.rs"),
        (RUST, "rust", "crates/core/src/lib.rs", "cli_tool::args::Args", "crates/cli-tool/src/args.rs"),
        (RUST, "rust", "crates/core/src/lib.rs", "std::net", ""),
        (JVM, "java", "app/src/main/java/org/shop/Main.java", "org.shop.model.Item", JVM.split()[1]),
        (JVM, "java", "app/src/main/java/org/shop/Main.java", "static org.shop.Cart.total", JVM.split()[0]),
        (JVM, "java", "app/src/main/java/org/shop/Main.java", "org.shop.model.*", JVM.split()[1]),
        (JVM, "kotlin", "lib/org/shop/Main.kt", "org.shop.Kart", "lib/org/shop/Kart.kt"),
        (JVM, "java", "Main.java", "java.util.List", ""),
        (CSHARP, "csharp", "Shop/Program.cs", "Acme.Shop.Models", "Shop/Models/Cart.cs Shop/Models/Item.cs"),
        (CSHARP, "csharp", "Shop/Program.cs", "System.Linq", ""),
        (PHP, "php", "app/Http/Kernel.php", "App\\Models\\User", "app/Models/User.php"),
        (PHP, "php", "app/Http/Kernel.php", "Acme\\Mailer", "src/Mailer.php"),
        (PHP, "php", "app/index.php", "../lib/setup.php", "lib/setup.php"),
        (C, "c", "src/main.c", '"shape.h"', "src/shape.h"),
        (C, "c", "src/main.c", "<lib/shape.h>", "include/lib/shape.h"),
        (C, "cpp", "src/main.cpp", "lib/list.h", "src/lib/list.h"),
        (C, "c", "src/main.c", "<stdio.h>", ""),
        (RUBY, "ruby", "spec/cart_spec.rb", "shop/cart", "lib/shop/cart.rb"),
        (RUBY, "ruby", "spec/cart_spec.rb", "./help", "spec/help.rb"),
        (DART, "dart", "lib/main.dart", "package:app/src/cart.dart", "lib/src/cart.dart"),
        (DART, "dart", "lib/main.dart", "package:other/other.dart", "packages/other/lib/other.dart"),
        (DART, "dart", "lib/main.dart", "src/cart.dart", "lib/src/cart.dart"),
        (DART, "dart", "lib/main.dart", "dart:io", ""),
        (SHELL, "shellscript", "bin/run.sh", "$(dirname \"$0\")/lib.sh", "bin/lib.sh"),
        (SHELL, "shellscript", "bin/run.sh", "../lib/common.bash", "lib/common.bash"),
        (STYLE, "scss", "styles/main.scss", "colours", "styles/_colours.scss"),
        (STYLE, "scss", "styles/main.scss", "parts/button", "styles/parts/button.css"),
        (PYTHON, "plaintext", "notes.txt", "shop.cart", ""),
    ],
)  # fmt: skip
def test_an_import_means_the_file_that_a_reader_would_open(
    project: str, language: str, importer: str, module: str, expected: str
) -> None:
    paths = project.split()

    def named(name: str) -> list[str]:
        return [path for path in paths if path.rpartition("/")[2] == name]

    def within(name: str) -> list[str]:
        return [path for path in paths if path.split("/")[-2:-1] == [name]]

    assert resolved(language, module, importer, named, within) == tuple(expected.split())
    # The same from all paths at once, which is how a whole project is resolved.
    assert best(candidates(language, module, importer), paths, importer) == tuple(expected.split())


def test_a_file_is_never_what_it_imports_itself() -> None:
    assert best(candidates("python", "cart", "src/cart.py"), ["src/cart.py"], "src/cart.py") == ()


def test_folders_are_left_out_where_the_project_cannot_list_them() -> None:
    assert resolved("go", "example.org/shop/store", "main.go", lambda name: [f"store/{name}"]) == ()


@pytest.mark.parametrize("module", ["", " ", '""', "a" * 10_000, "a\nb", "../" * 50 + "x", "a." * 200 + "b", "$X/$Y"])
@pytest.mark.parametrize(
    "language", ["python", "typescript", "go", "rust", "java", "csharp", "php", "c", "shellscript"]
)
def test_odd_names_are_bounded(language: str, module: str) -> None:
    found = candidates(language, module, "a/b.py")
    assert len(found) <= CANDIDATES_MAX
    assert all(path.strip("/") and ".." not in path.split("/") for path in found)


@pytest.mark.parametrize(
    ("language", "module", "name", "expected"),
    [
        ("python", "shop", "cart", "shop.cart"),
        ("python", ".", "cart", ".cart"),
        ("python", "..models", "item", "..models.item"),
        ("rust", "crate::net", "tcp", "crate::net::tcp"),
        ("java", "org.shop", "Cart", "org.shop.Cart"),
        ("php", "App\\Models", "User", "App\\Models\\User"),
        ("typescript", "./shape", "Circle", ""),
    ],
)
def test_what_is_taken_out_of_a_module_may_be_one(language: str, module: str, name: str, expected: str) -> None:
    assert inner(language, module, name) == expected

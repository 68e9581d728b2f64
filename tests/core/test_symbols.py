"""Definitions, imports and references, one realistic file per language: a line of a table is
`start-end kind path | signature`."""

import inspect

import pytest

from hearth.core.analysis import analysed
from hearth.core.facts import Facts, Import
from hearth.core.grammars import grammar_for
from hearth.core.symbol_queries import PATTERNS
from hearth.core.symbols import _compiled  # the query itself is no business of anyone else


def facts(language: str, text: str) -> Facts:
    return analysed(language, inspect.cleandoc(text) + "\n")


def table(found: Facts) -> str:
    return "\n".join(
        f"{symbol.start}-{symbol.end} {symbol.kind} {symbol.container + '.' if symbol.container else ''}{symbol.name}"
        f" | {symbol.signature}"
        for symbol in found.symbols
    )


def check(language: str, text: str, expected: str) -> Facts:
    found = facts(language, text)
    assert table(found) == inspect.cleandoc(expected)
    return found


def test_python():
    found = check(
        "python",
        '''
        from __future__ import annotations
        MAX_SIZE = 10
        name: str = "a"
        type Alias[T] = list[T]
        def top(a,  # the first
                b: int = 1) -> dict[str, int]:
            local = f"{a!r:>{b}} words {helper.method(a)}"
            def inner(): return local
            return unknown(bar=local)  # comment
        @dataclass(frozen=True)
        class Circle(Shape, metaclass=Meta):
            """Says self.nothing of note."""
            radius: float = 1.0
            x, y = 1, 2
            def __init__(self, scale: dict[str, list[int]] = None, other: int = 1):
                self.scale = scale
                self.radius = 2
                self.table: dict[str, int] = {
                    1: 2}
                self.scale = 3
                if other == 1:
                    self.other = other
            @property
            def area(self) -> float:  # comment
                return 1
            @app.route("/x")
            async def handler(self): pass
            class Meta:
                ordering = ["x"]
        try:
            import fast
        except ImportError:
            fast = None
        ''',
        """
        1-2 constant MAX_SIZE | MAX_SIZE = 10
        2-3 variable name | name: str = "a"
        3-4 type Alias | type Alias[T] = list[T]
        4-9 function top | def top(a, b: int = 1) -> dict[str, int]
        7-8 function top.inner | def inner()
        9-29 class Circle | @dataclass class Circle(Shape, metaclass=Meta)
        12-13 attribute Circle.radius | radius: float = 1.0
        13-14 attribute Circle.x | x, y = 1, 2
        13-14 attribute Circle.y | x, y = 1, 2
        14-22 method Circle.__init__ | def __init__(self, scale: dict[str, list[int]] = None, other: int = 1)
        15-16 attribute Circle.scale | scale: dict[str, list[int]]
        17-18 attribute Circle.table | table: dict[str, int] = { ...
        21-22 attribute Circle.other | other: int
        22-25 method Circle.area | @property def area(self) -> float
        25-27 method Circle.handler | async def handler(self)
        27-29 class Circle.Meta | class Meta
        28-29 attribute Circle.Meta.ordering | ordering = ["x"]
        32-33 variable fast | fast = None
        """,
    )
    used = found.references
    assert {"helper", "method", "unknown", "bar", "Shape", "dataclass", "fast", "ImportError"} <= used.keys()
    assert used["local"] == 3
    assert not {"words", "comment", "first", "nothing", "self", "def", "Circle", "MAX_SIZE"} & used.keys()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import os", [Import("os", 0, (), "os")]),
        ("import os.path, json as js", [Import("os.path", 0, (), "os.path"), Import("json", 0, (), "js")]),
        ("from . import views", [Import(".", 0, (("views", "views"),))]),
        ("from .. a . b import c", [Import("..a.b", 0, (("c", "c"),))]),
        (
            "from ..models.base import (Model as M,  # comment, more\n    Field,\n)",
            [Import("..models.base", 0, (("Model", "M"), ("Field", "Field")))],
        ),
        ("from x import a, \\\n    b", [Import("x", 0, (("a", "a"), ("b", "b")))]),
        ("from x import *", [Import("x", 0, (("*", "*"),))]),
        ("def f():\n    if x:\n        from deep import er\n", [Import("deep", 2, (("er", "er"),))]),
    ],
)
def test_python_imports(statement: str, expected: list[Import]):
    assert list(facts("python", statement).imports) == expected


TYPESCRIPT = """
export abstract class Foo<T> extends Bar implements Baz {
  static readonly x: number = 1
  #p = 2
  declare y?: string
  constructor(private readonly z: string, w = 1) { super(); this.q = 1 }
  abstract foo(): void
  get v(): number { return 1 }
  bar = (e: Event): void => {}
}
interface I extends J { a: string; m(x: number): void; readonly [k: string]: any }
enum E { A, B = 2 }
type U = { k: string }
declare module "foo" { export function f(): void }
namespace N { const q = 1 }
export const f = async (a: number) => { const local = 1 }, g = 2
export default function () {}
function over(a: string): void
export function* gen<T>(x: T) {}
exports.run = function () {}
Foo.prototype.more = function () {}
declare const VERSION: string
const o = { meth() {}, p: () => 1, k: 3 }
declare global { interface Window { zed: number } }
"""


@pytest.mark.parametrize("language", ["typescript", "typescriptreact"])
def test_typescript(language: str):
    found = check(
        language,
        TYPESCRIPT,
        """
        0-9 class Foo | abstract class Foo<T> extends Bar implements Baz
        1-2 attribute Foo.x | static readonly x: number = 1
        2-3 attribute Foo.#p | #p = 2
        3-4 attribute Foo.y | declare y?: string
        4-5 method Foo.constructor | constructor(private readonly z: string, w = 1)
        4-5 attribute Foo.z | private readonly z: string
        4-5 attribute Foo.q | this.q = 1
        5-6 method Foo.foo | abstract foo(): void
        6-7 method Foo.v | get v(): number
        7-8 attribute Foo.bar | bar = (e: Event): void
        9-10 interface I | interface I extends J
        9-10 attribute I.a | a: string
        9-10 method I.m | m(x: number): void
        10-11 enum E | enum E
        10-11 attribute E.A | A
        10-11 attribute E.B | B = 2
        11-12 type U | type U = { k: string }
        11-12 attribute U.k | k: string
        12-13 module foo | module "foo"
        12-13 function foo.f | function f(): void
        13-14 module N | namespace N
        13-14 variable N.q | const q = 1
        14-15 function f | const f = async (a: number)
        14-15 variable g | g = 2
        16-17 function over | function over(a: string): void
        17-18 function gen | function* gen<T>(x: T)
        18-19 function run | exports.run = function ()
        19-20 method Foo.more | Foo.prototype.more = function ()
        20-21 constant VERSION | const VERSION: string
        21-22 variable o | const o = { meth() {}, p: () => 1, k: 3 }
        21-22 method o.meth | meth()
        21-22 method o.p | p: ()
        22-23 interface Window | interface Window
        22-23 attribute Window.zed | zed: number
        """,
    )
    assert {"Bar", "Baz", "Event", "Foo", "exports"} <= found.references.keys()
    assert found.references["Foo"] == 1
    assert "Window" not in found.references


@pytest.mark.parametrize("language", ["javascript", "javascriptreact"])
def test_javascript(language: str):
    found = check(
        language,
        """
        class Shape extends Base { static count = 0; draw() { this.pen = new Pen(); this.pen = 1 } }
        const View = ({ title }) => <h1 className="big">{title} words</h1>
        let Lazy = class { go() {} }
        app.use = function use(path) { function helper() {} }
        """,
        """
        0-1 class Shape | class Shape extends Base
        0-1 attribute Shape.count | static count = 0
        0-1 method Shape.draw | draw()
        0-1 attribute Shape.pen | this.pen = new Pen()
        1-2 function View | const View = ({ title })
        2-3 class Lazy | let Lazy = class
        2-3 method Lazy.go | go()
        3-4 method app.use | app.use = function use(path)
        3-4 function app.use.helper | function helper()
        """,
    )
    assert found.references["title"] == 2
    assert not {"words", "big"} & found.references.keys()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ('import d, { a as b, type T } from "m"', [Import("m", 0, (("default", "d"), ("a", "b"), ("T", "T")))]),
        ("import * as all from './all'", [Import("./all", 0, (), "all")]),
        ("import d, * as all from './all'", [Import("./all", 0, (("default", "d"),), "all")]),
        ("import type { Q } from 'q' // from 'z'", [Import("q", 0, (("Q", "Q"),))]),
        (
            'import { // first\n  one, // the "1"\n  two as zwei,\n} from "https://x.org/y"',
            [Import("https://x.org/y", 0, (("one", "one"), ("two", "zwei")))],
        ),
        ('import "./side"', [Import("./side", 0)]),
        ('import x = require("y")', [Import("y", 0, (), "x")]),
        ('export * as ns from "z"', [Import("z", 0, (), "ns")]),
        ('export * from "w"', [Import("w", 0, (("*", "*"),))]),
        ('export { a, b as c } from "w"', [Import("w", 0, (("a", "a"), ("b", "c")))]),
        (
            "const { aa, bb: cc, dd = 1 } = require('./q')",
            [Import("./q", 0, (("aa", "aa"), ("bb", "cc"), ("dd", "dd")))],
        ),
        ("const fs = require('node:fs')", [Import("node:fs", 0, (), "fs")]),
        ("const pick = require('./p').pick", [Import("./p", 0, (("pick", "pick"),))]),
        ("require('./side')", [Import("./side", 0)]),
        ("async function f() {\n  await import('./lazy')\n}", [Import("./lazy", 1)]),
    ],
)
def test_es_imports(statement: str, expected: list[Import]):
    assert list(facts("typescript", statement).imports) == expected


@pytest.mark.parametrize("language", sorted(PATTERNS))
def test_every_query_fits_its_grammar(language: str):

    assert _compiled(language, *(grammar_for(language) or ("", ""))) is not None

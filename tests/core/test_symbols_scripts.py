"""Definitions, imports and references in scripts, markup and data: see `test_symbols`."""

from core.test_symbols import check
from hearth.core.facts import Import
from hearth.core.symbol_imports import ALL


def test_ruby():
    found = check(
        "ruby",
        """
        require 'json'
        require_relative "../lib/shape"
        require("set")
        load 'x.rb'
        autoload :Foo, 'foo'
        MAX = 10
        $glob = 1
        top = 2
        module Geo
          class Circle < Base::Shape
            include Comparable
            attr_accessor :radius, :width
            attr_reader :name
            PI = 3.14
            @@count = 0
            has_many :things
            scope :recent, -> { where(x: 1) }
            def initialize(radius, scale: 1, &block)
              @radius = radius
              @radius = 2
              @cache ||= {}
              local = 1
            end
            def self.create(x) = new(x)
            class << self
              def build; end
            end
            def area?
              [1].each { |v| w = v }
            end
            alias_method :old, :new
            alias other area?
            private
            def hidden; end
          end
          class A::B; end
          Point = Struct.new(:x, :y) do
            def dist; end
          end
        end
        def helper; yield; end
        """,
        """
        5-6 constant MAX | MAX = 10
        6-7 variable $glob | $glob = 1
        7-8 variable top | top = 2
        8-40 module Geo | module Geo
        9-35 class Geo.Circle | class Circle < Base::Shape
        11-12 attribute Geo.Circle.radius | attr_accessor :radius, :width
        11-12 attribute Geo.Circle.width | attr_accessor :radius, :width
        12-13 attribute Geo.Circle.name | attr_reader :name
        13-14 attribute Geo.Circle.PI | PI = 3.14
        14-15 attribute Geo.Circle.@@count | @@count = 0
        15-16 attribute Geo.Circle.things | has_many :things
        17-23 method Geo.Circle.initialize | def initialize(radius, scale: 1, &block)
        18-19 attribute Geo.Circle.@radius | @radius = radius
        20-21 attribute Geo.Circle.@cache | @cache ||= {}
        23-24 method Geo.Circle.create | def self.create(x)
        25-26 method Geo.Circle.build | def build
        27-30 method Geo.Circle.area? | def area?
        33-34 method Geo.Circle.hidden | def hidden
        35-36 class Geo.A.B | class A::B
        36-39 variable Geo.Point | Point = Struct.new(:x, :y) do def dist; end end
        37-38 function Geo.Point.dist | def dist
        40-41 function helper | def helper
        """,
    )
    assert list(found.imports) == [
        Import("json", 0, ALL),
        Import("../lib/shape", 1, ALL),
        Import("set", 2, ALL),
        Import("x.rb", 3, ALL),
        Import("foo", 4, (), "Foo"),
    ]
    assert {"Comparable", "Struct", "has_many", "where"} <= found.references.keys()
    assert not {"helper", "Geo", "def"} & found.references.keys()


def test_php():
    found = check(
        "php",
        r"""
        <!DOCTYPE html><p>text</p>
        <?php
        namespace App\Models;
        use Illuminate\Support\Str;
        use Foo\Bar as Baz, Qux\Quux;
        use function App\helper;
        use App\{Shape, Sub\Thing as Other};
        require_once __DIR__ . '/lib/util.php';
        include 'inc.php';
        const TOP = 1;
        define('OLD', 2);
        $config = ['a' => 1];
        /** doc */
        abstract class Circle extends Base implements Shape, Other
        {
            use HasFactory, SoftDeletes;
            const MAX = 10, MIN = 1;
            public const string NAME = 'x';
            private ?float $radius = 1.0, $w;
            protected static $items;
            public function __construct(private readonly int $id, $b = 1) { $this->dyn = 1; }
            public function area(float $scale = 1): float { $local = 1; return $this->radius; }
            abstract protected function todo(): void;
            public static function make() { $f = function ($x) { $q = 1; }; $g = fn($x) => $x; }
        }
        interface Shape extends A { const K = 1; public function area(float $s): float; }
        trait HasX { public $x; function y() {} }
        enum Suit: string
        {
            case Hearts = 'H'; case Spades;
            const Wild = self::Spades;
            public function label(): string { return ''; }
        }
        function helper(string $a, ...$rest): array { return []; }
        if (!function_exists('cond')) { function cond() {} }
        ?>
        <b>after</b>
        """,
        r"""
        2-3 module App\Models | namespace App\Models
        9-10 constant TOP | const TOP = 1
        10-11 constant OLD | define('OLD', 2)
        11-12 variable config | $config = ['a' => 1]
        13-25 class Circle | abstract class Circle extends Base implements Shape, Other
        16-17 attribute Circle.MAX | const MAX = 10, MIN = 1
        16-17 attribute Circle.MIN | const MAX = 10, MIN = 1
        17-18 attribute Circle.NAME | public const string NAME = 'x'
        18-19 attribute Circle.radius | private ?float $radius = 1.0, $w
        18-19 attribute Circle.w | private ?float $radius = 1.0, $w
        19-20 attribute Circle.items | protected static $items
        20-21 method Circle.__construct | public function __construct(private readonly int $id, $b = 1)
        20-21 attribute Circle.id | private readonly int $id
        20-21 attribute Circle.dyn | $this->dyn = 1
        21-22 method Circle.area | public function area(float $scale = 1): float
        22-23 method Circle.todo | abstract protected function todo(): void
        23-24 method Circle.make | public static function make()
        25-26 interface Shape | interface Shape extends A
        25-26 attribute Shape.K | const K = 1
        25-26 method Shape.area | public function area(float $s): float
        26-27 class HasX | trait HasX
        26-27 attribute HasX.x | public $x
        26-27 method HasX.y | function y()
        27-33 enum Suit | enum Suit: string
        29-30 attribute Suit.Hearts | case Hearts = 'H'
        29-30 attribute Suit.Spades | case Spades
        30-31 attribute Suit.Wild | const Wild = self::Spades
        31-32 method Suit.label | public function label(): string
        33-34 function helper | function helper(string $a, ...$rest): array
        34-35 function cond | function cond()
        """,
    )
    assert list(found.imports) == [
        Import("Illuminate\\Support\\Str", 3, (), "Str"),
        Import("Foo\\Bar", 4, (), "Baz"),
        Import("Qux\\Quux", 4, (), "Quux"),
        Import("App\\helper", 5, (), "helper"),
        Import("App\\Shape", 6, (), "Shape"),
        Import("App\\Sub\\Thing", 6, (), "Other"),
        Import("./lib/util.php", 7, ALL),
        Import("inc.php", 8, ALL),
    ]
    assert {"HasFactory", "Base", "function_exists"} <= found.references.keys()
    assert not {"Circle", "text", "config"} & found.references.keys()


def test_dart():
    found = check(
        "dart",
        """
        library shapes;
        import 'dart:async';
        import 'package:flutter/material.dart' as m show Widget, State hide Key;
        import '../x.dart' deferred as lazy;
        export 'src/y.dart' show Y;
        part 'shape.g.dart';
        part of 'main.dart';
        const int kMax = 10;
        final String name = 'x', other = 'y';
        var plain = 1;
        late int lateOne;
        typedef Handler = void Function(int a);
        typedef int OldStyle(int a);
        enum Color { red, green; const Color(); int get v => 1; }
        /// Doc
        @immutable
        abstract class Circle<T> extends Base with Mixin implements Shape {
          final double radius, w;
          static const int max = 3;
          String? title;
          late final int z = 1;
          const Circle(this.radius, {required this.title, super.key}) : w = 1, super();
          Circle.named(double r) : radius = r;
          factory Circle.from(Map json) => Circle(1);
          @override
          double area(double scale) { var local = 1; return radius * scale; }
          double get diameter => radius * 2;
          set diameter(double v) { }
          static Future<void> run() async { final f = (int x) { var q = 1; }; void inner() {} }
          bool operator ==(Object o) => true;
          void todo();
        }
        mixin Mixin on Base { int mx = 1; void mm() {} }
        extension Ext on String { int get len => 1; bool isX() => true; }
        extension type Id(int v) { }
        int top(int a, [int b = 1]) { return a; }
        int get topGetter => 1;
        external void ext();
        """,
        """
        7-8 variable kMax | const int kMax = 10
        8-9 variable name | final String name = 'x', other = 'y'
        8-9 variable other | final String name = 'x', other = 'y'
        9-10 variable plain | var plain = 1
        10-11 variable lateOne | late int lateOne
        11-12 type Handler | typedef Handler = void Function(int a)
        12-13 type OldStyle | typedef int OldStyle(int a)
        13-14 enum Color | enum Color
        13-14 attribute Color.red | red
        13-14 attribute Color.green | green
        13-14 method Color.Color | const Color()
        13-14 method Color.v | int get v
        15-32 class Circle | @immutable abstract class Circle<T> extends Base with Mixin implements Shape
        17-18 attribute Circle.radius | final double radius, w
        17-18 attribute Circle.w | final double radius, w
        18-19 attribute Circle.max | static const int max = 3
        19-20 attribute Circle.title | String? title
        20-21 attribute Circle.z | late final int z = 1
        21-22 method Circle.Circle | const Circle(this.radius, {required this.title, super.key}) : w = 1, super()
        22-23 method Circle.named | Circle.named(double r) : radius = r
        23-24 method Circle.from | factory Circle.from(Map json)
        25-26 method Circle.area | double area(double scale)
        26-27 method Circle.diameter | double get diameter
        27-28 method Circle.diameter | set diameter(double v)
        28-29 method Circle.run | static Future<void> run()
        28-29 function Circle.run.inner | void inner()
        29-30 method Circle.== | bool operator ==(Object o)
        30-31 method Circle.todo | void todo()
        32-33 class Mixin | mixin Mixin on Base
        32-33 attribute Mixin.mx | int mx = 1
        32-33 method Mixin.mm | void mm()
        33-34 class Ext | extension Ext on String
        33-34 method Ext.len | int get len
        33-34 method Ext.isX | bool isX()
        34-35 class Id | extension type Id(int v)
        35-36 function top | int top(int a, [int b = 1])
        36-37 function topGetter | int get topGetter
        37-38 function ext | external void ext()
        """,
    )
    assert list(found.imports) == [
        Import("dart:async", 1, ALL),
        Import(
            "package:flutter/material.dart",
            2,
            (
                ("Widget", "Widget"),
                ("State", "State"),
            ),
            "m",
        ),
        Import("../x.dart", 3, (), "lazy"),
        Import("src/y.dart", 4, (("Y", "Y"),)),
        Import("shape.g.dart", 5, ALL),
        Import("main.dart", 6, ALL),
    ]
    assert {"Widget", "immutable", "Future"} <= found.references.keys()
    assert not {"topGetter", "Doc"} & found.references.keys()


def test_shellscript():
    found = check(
        "shellscript",
        """
        #!/bin/bash
        source ./lib/util.sh
        . "$DIR/other.sh"
        . ./third.sh
        export PATH_X="a"
        readonly MAX=10
        NAME=value
        declare -a list=(1 2)
        function first { local inner=1; echo "$NAME"; }
        second() {
          helper_call "$1"
          GLOBAL=1
        }
        alias ll='ls -l'
        if true; then COND=1; fi
        """,
        """
        4-5 constant PATH_X | PATH_X="a"
        5-6 constant MAX | readonly MAX=10
        6-7 constant NAME | NAME=value
        7-8 variable list | list=(1 2)
        8-9 function first | function first
        9-13 function second | second()
        14-15 constant COND | COND=1
        """,
    )
    assert list(found.imports) == [
        Import("./lib/util.sh", 1, ALL),
        Import("$DIR/other.sh", 2, ALL),
        Import("./third.sh", 3, ALL),
    ]
    assert {"helper_call", "DIR", "NAME"} <= found.references.keys()
    assert not {"MAX", "first"} & found.references.keys()


def test_html():
    found = check(
        "html",
        """
        <!DOCTYPE html>
        <html><head>
        <title>Shape page</title>
        <script src="app.js" defer></script>
        <script type="module">import x from "./mod.js"; const a = 1;</script>
        <link rel="stylesheet" href='style.css'>
        <link rel=icon href=fav.ico>
        <style>.a { color: red }</style>
        </head><body>
        <h1>Main <em>title</em></h1>
        <div id="main" class="x"><h2 id=sub>Sub</h2>
        <my-comp id='c1'></my-comp>
        <img src="x.png"></div>
        </body></html>
        """,
        """
        9-10 heading Main | <h1>Main <em>title</em></h1>
        10-13 key main | <div id="main" class="x">
        10-11 key main.sub | <h2 id=sub>
        10-11 heading main.Sub | <h2 id=sub>Sub</h2>
        11-12 key main.c1 | <my-comp id='c1'>
        """,
    )
    assert list(found.imports) == [
        Import("app.js", 3),
        Import("style.css", 5),
        Import("fav.ico", 6),
    ]
    assert not found.references


def test_css():
    found = check(
        "css",
        """
        @import url("base.css");
        @import 'theme.css' screen;
        @charset "utf-8";
        :root { --main-color: #fff; --gap: 2px }
        .a, .b > p:hover { color: red; margin: 0 }
        #main { display: none }
        @media (max-width: 10px) { .c { color: blue } }
        @keyframes spin { from { top: 0 } to { top: 1px } }
        @font-face { font-family: X }
        @supports (display: grid) { .d { top: 0 } }
        .parent { .nested { color: red } &:hover { top: 0 } }
        """,
        """
        3-4 selector :root | :root
        3-4 variable :root.--main-color | --main-color: #fff
        3-4 variable :root.--gap | --gap: 2px
        4-5 selector .a, .b > p:hover | .a, .b > p:hover
        5-6 selector #main | #main
        6-7 selector .c | .c
        7-8 selector spin | @keyframes spin
        9-10 selector .d | .d
        10-11 selector .parent | .parent
        10-11 selector .parent..nested | .nested
        10-11 selector .parent.&:hover | &:hover
        """,
    )
    assert list(found.imports) == [
        Import("base.css", 0),
        Import("theme.css", 1),
    ]
    assert not found.references


def test_json():
    found = check(
        "json",
        """
        { "name": "x", "scripts": { "test": "run", "deep": { "no": 1 } }, "list": [ { "inlist": 1 } ], "n": 1 }
        """,
        """
        0-1 key name | "name": "x"
        0-1 key scripts | "scripts": { "test": "run", "deep": { "no": 1 } }
        0-1 key scripts.test | "test": "run"
        0-1 key scripts.deep | "deep": { "no": 1 }
        0-1 key list | "list": [ { "inlist": 1 } ]
        0-1 key n | "n": 1
        """,
    )
    assert not found.references


def test_yaml():
    found = check(
        "yaml",
        """
        # c
        name: x
        on:
          push:
            branches: [a]
          "pull": {flow: 1}
        list:
          - item: 1
            b: 2
        anchors: &a
          k: 1
        flow: {x: 1}
        text: |
          no: key
        ---
        second: doc
        """,
        """
        1-2 key name | name: x
        2-6 key on | on:
        3-5 key on.push | push:
        5-6 key on.pull | "pull": {flow: 1}
        6-9 key list | list:
        9-11 key anchors | anchors: &a
        10-11 key anchors.k | k: 1
        11-12 key flow | flow: {x: 1}
        12-15 key text | text: |
        15-17 key second | second: doc
        """,
    )
    assert not found.references


def test_markdown():
    found = check(
        "markdown",
        """
        ---
        title: x
        ---
        # Top *title*

        text [link](other.md)

        ## Sub `code` ##
        ```python
        # not a heading
        ```
        ### Deep
        ## Sub 2
        Setext
        ======
        para
        Set2
        ----
        """,
        """
        3-18 heading Top *title* | # Top *title*
        7-12 heading Top *title*.Sub `code` | ## Sub `code` ##
        11-12 heading Top *title*.Sub `code`.Deep | ### Deep
        12-18 heading Top *title*.Sub 2 | ## Sub 2
        13-15 heading Top *title*.Sub 2.Setext | Setext
        15-18 heading Top *title*.Sub 2.para Set2 | para Set2
        """,
    )
    assert not found.references

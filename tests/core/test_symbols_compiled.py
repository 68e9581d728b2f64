"""Definitions, imports and references in languages that are compiled: see `test_symbols`."""

from core.test_symbols import check
from hearth.core.facts import Import
from hearth.core.symbol_imports import ALL


def test_go():
    found = check(
        "go",
        """
        package shape

        import (
            "fmt"
            m "math/rand"
            . "strings"
            _ "embed"
        )
        import "os"

        // Area is documented.
        const Pi = 3.14
        const (
            Red Color = iota
            Green
        )
        var Default, Other = New(), 2
        var (
            mu sync.Mutex
        )

        type Color int
        type Alias = map[string]int
        type Shape interface {
            Area(scale float64) float64
            fmt.Stringer
        }
        type Circle[T any] struct {
            Base
            *Other
            Radius, Width float64 `json:"r"`
            next   *Circle[T]
        }
        type Handler func(w Writer) error

        func New(r float64) *Circle { local := 1; var x int; return &Circle{Radius: r} }
        func (c *Circle[T]) Area(scale float64) (float64, error) {
            f := func() { inner := 1 }
            return c.Radius * scale, nil
        }
        """,
        """
        11-12 constant Pi | const Pi = 3.14
        13-14 constant Red | Red Color = iota
        14-15 constant Green | Green
        16-17 variable Default | var Default, Other = New(), 2
        16-17 variable Other | var Default, Other = New(), 2
        18-19 variable mu | mu sync.Mutex
        21-22 type Color | type Color int
        22-23 type Alias | type Alias = map[string]int
        23-27 interface Shape | type Shape interface { Area(scale float64) float64 fmt.Stringer }
        24-25 method Shape.Area | Area(scale float64) float64
        27-33 class Circle | type Circle[T any] struct
        28-29 attribute Circle.Base | Base
        29-30 attribute Circle.Other | *Other
        30-31 attribute Circle.Radius | Radius, Width float64 `json:"r"`
        30-31 attribute Circle.Width | Radius, Width float64 `json:"r"`
        31-32 attribute Circle.next | next *Circle[T]
        33-34 type Handler | type Handler func(w Writer) error
        35-36 function New | func New(r float64) *Circle
        36-40 method Circle.Area | func (c *Circle[T]) Area(scale float64) (float64, error)
        """,
    )
    assert list(found.imports) == [
        Import("fmt", 3, (), "fmt"),
        Import("math/rand", 4, (), "m"),
        Import("strings", 5, ALL),
        Import("embed", 6),
        Import("os", 8, (), "os"),
    ]
    assert {"Mutex", "Writer", "Stringer", "sync"} <= found.references.keys()
    assert not {"Handler", "func", "documented"} & found.references.keys()


def test_rust():
    found = check(
        "rust",
        """
        use std::collections::{self, HashMap as Map, hash_map::*};
        use crate::shape::Circle;
        pub use self::inner::Thing;
        extern crate serde as sd;
        mod other;
        pub(crate) mod inner {
            pub fn f() {}
        }
        /// Docs
        #[derive(Debug, Clone)]
        pub struct Circle<'a, T: Shape> {
            pub radius: f64,
            name: &'a str,
        }
        struct Pair(pub i32, String);
        union U { a: u8 }
        pub enum Color { Red, Rgb(u8, u8), Named { name: String } }
        pub trait Shape: Display {
            const N: usize;
            type Out;
            fn area(&self, scale: f64) -> f64;
            fn dflt(&self) { }
        }
        impl<'a, T> Shape for Circle<'a, T> where T: Shape {
            const N: usize = 1;
            fn area(&self, scale: f64) -> f64 { let local = 1; self.radius * scale }
        }
        impl Circle { pub async fn new(radius: f64) -> Self { Self { radius } } }
        const MAX: usize = 10;
        static mut COUNT: u32 = 0;
        type Result<T> = std::result::Result<T, Error>;
        macro_rules! hello { ($x:expr) => { println!("{}", $x) }; }
        fn main() { let closure = |x| x + 1; fn nested() {} hello!(other_name); }
        extern "C" { fn c_fun(x: i32); }
        """,
        """
        5-8 module inner | pub(crate) mod inner
        6-7 function inner.f | pub fn f()
        10-14 class Circle | pub struct Circle<'a, T: Shape>
        11-12 attribute Circle.radius | pub radius: f64
        12-13 attribute Circle.name | name: &'a str
        14-15 class Pair | struct Pair(pub i32, String)
        15-16 class U | union U
        15-16 attribute U.a | a: u8
        16-17 enum Color | pub enum Color
        16-17 attribute Color.Red | Red
        16-17 attribute Color.Rgb | Rgb(u8, u8)
        16-17 attribute Color.Named | Named { name: String }
        16-17 attribute Color.Named.name | name: String
        17-23 interface Shape | pub trait Shape: Display
        18-19 attribute Shape.N | const N: usize
        19-20 type Shape.Out | type Out
        20-21 method Shape.area | fn area(&self, scale: f64) -> f64
        21-22 method Shape.dflt | fn dflt(&self)
        24-25 attribute Circle.N | const N: usize = 1
        25-26 method Circle.area | fn area(&self, scale: f64) -> f64
        27-28 method Circle.new | pub async fn new(radius: f64) -> Self
        28-29 constant MAX | const MAX: usize = 10
        29-30 constant COUNT | static mut COUNT: u32 = 0
        30-31 type Result | type Result<T> = std::result::Result<T, Error>
        31-32 macro hello | macro_rules! hello
        32-33 function main | fn main()
        32-33 function main.nested | fn nested()
        33-34 function c_fun | fn c_fun(x: i32)
        """,
    )
    assert list(found.imports) == [
        Import("std::collections", 0, (), "collections"),
        Import("std::collections", 0, (("HashMap", "Map"),)),
        Import("std::collections::hash_map", 0, ALL),
        Import("crate::shape", 1, (("Circle", "Circle"),)),
        Import("self::inner", 2, (("Thing", "Thing"),)),
        Import("serde", 3, (), "sd"),
        Import("self::other", 4, (), "other"),
    ]
    assert {"HashMap", "Display", "println", "Debug"} <= found.references.keys()
    assert not {"main", "Docs", "fn", "trait"} & found.references.keys()


def test_java():
    found = check(
        "java",
        """
        package org.example.shape;
        import java.util.List;
        import java.util.*;
        import static java.lang.Math.PI;
        import static java.lang.Math.*;
        /** Doc */
        @Deprecated
        public abstract class Circle<T extends Base> implements Shape, Other {
            private static final int MAX_SIZE = 10;
            protected double radius = 1.0, width;
            public Circle(double radius) { this.radius = radius; }
            @Override
            public double area(double scale) throws IOException { int local = 1; return radius; }
            abstract void todo();
            static class Inner { int x; }
            interface Nested { void f(); int K = 1; }
            enum Kind { A, B(2) { void m() {} }; final int v; Kind(int v) { this.v = v; } }
            Runnable r = () -> { int q = 1; };
        }
        record Point(int x, int y) { Point { } int sum() { return x + y; } }
        @interface Ann { String value() default ""; }
        """,
        """
        6-19 class Circle | @Deprecated public abstract class Circle<T extends Base> implements Shape, Other
        8-9 attribute Circle.MAX_SIZE | private static final int MAX_SIZE = 10
        9-10 attribute Circle.radius | protected double radius = 1.0, width
        9-10 attribute Circle.width | protected double radius = 1.0, width
        10-11 method Circle.Circle | public Circle(double radius)
        11-13 method Circle.area | @Override public double area(double scale) throws IOException
        13-14 method Circle.todo | abstract void todo()
        14-15 class Circle.Inner | static class Inner
        14-15 attribute Circle.Inner.x | int x
        15-16 interface Circle.Nested | interface Nested
        15-16 method Circle.Nested.f | void f()
        15-16 attribute Circle.Nested.K | int K = 1
        16-17 enum Circle.Kind | enum Kind
        16-17 attribute Circle.Kind.A | A
        16-17 attribute Circle.Kind.B | B(2)
        16-17 method Circle.Kind.B.m | void m()
        16-17 attribute Circle.Kind.v | final int v
        16-17 method Circle.Kind.Kind | Kind(int v)
        17-18 attribute Circle.r | Runnable r = () -> { int q = 1; }
        19-20 class Point | record Point(int x, int y)
        19-20 attribute Point.x | int x
        19-20 attribute Point.y | int y
        19-20 method Point.Point | Point
        19-20 method Point.sum | int sum()
        20-21 interface Ann | @interface Ann
        20-21 method Ann.value | String value() default ""
        """,
    )
    assert list(found.imports) == [
        Import("java.util.List", 1, (), "List"),
        Import("java.util", 2, ALL),
        Import("java.lang.Math", 3, (("PI", "PI"),)),
        Import("java.lang.Math", 4, ALL),
    ]
    assert {"IOException", "Runnable", "Deprecated", "List"} <= found.references.keys()
    assert not {"area", "Doc", "static"} & found.references.keys()


def test_c():
    found = check(
        "c",
        """
        #include <stdio.h>
        #include "shape.h"
        #define MAX_SIZE 10
        #define SQUARE(x) ((x) * (x))
        typedef struct circle { double radius, width; struct circle *next; int (*fn)(int); char name[10]; } circle_t;
        struct point { int x; };
        union u { int a; };
        enum color { RED, GREEN = 2 };
        typedef enum { A_ONE } kind_t;
        typedef int (*callback)(int a, void *b);
        typedef unsigned long ulong_t;
        static int counter = 0, *other;
        extern const char *names[];
        int area(struct circle *c, double scale);
        static inline double *area2(struct circle *c) { int local = 1; return 0; }
        int main(int argc, char **argv)
        {
            return area(0, 1);
        }
        #ifdef X
        int cond(void) { return 1; }
        #endif
        """,
        """
        2-3 constant MAX_SIZE | #define MAX_SIZE 10
        3-4 macro SQUARE | #define SQUARE(x)
        4-5 type circle_t | typedef struct circle
        4-5 class circle | typedef struct circle
        4-5 attribute circle.radius | double radius, width
        4-5 attribute circle.width | double radius, width
        4-5 attribute circle.next | struct circle *next
        4-5 attribute circle.fn | int (*fn)(int)
        4-5 attribute circle.name | char name[10]
        5-6 class point | struct point
        5-6 attribute point.x | int x
        6-7 class u | union u
        6-7 attribute u.a | int a
        7-8 enum color | enum color
        7-8 attribute color.RED | RED
        7-8 attribute color.GREEN | GREEN = 2
        8-9 enum kind_t | typedef enum
        8-9 attribute kind_t.A_ONE | A_ONE
        9-10 type callback | typedef int (*callback)(int a, void *b)
        10-11 type ulong_t | typedef unsigned long ulong_t
        11-12 variable counter | static int counter = 0, *other
        11-12 variable other | static int counter = 0, *other
        12-13 variable names | extern const char *names[]
        13-14 function area | int area(struct circle *c, double scale)
        14-15 function area2 | static inline double *area2(struct circle *c)
        15-19 function main | int main(int argc, char **argv)
        20-21 function cond | int cond(void)
        """,
    )
    assert list(found.imports) == [
        Import("stdio.h", 0, ALL),
        Import("shape.h", 1, ALL),
    ]
    assert {"circle", "scale"} <= found.references.keys()
    assert not {"main", "SQUARE", "int", "stdio"} & found.references.keys()


def test_cpp():
    found = check(
        "cpp",
        """
        #include <vector>
        #include "shape.hpp"

        using namespace std;
        using std::vector;
        using Alias = std::vector<int>;
        namespace geo::inner {
        template <typename T>
        class Circle : public Shape<T>, private Other {
         public:
          explicit Circle(double r = 1.0) : radius_(r) {}
          ~Circle();
          virtual double area(double scale) const override = 0;
          static constexpr int kMax = 10;
          double operator()(int x) { return x; }
          bool operator==(const Circle& o) const;
          enum class Kind { A, B };
          struct Nested { int v; };
          int *ptr() { return p_; }
         private:
          double radius_ = 0, w_;
          int* p_;
          std::vector<std::string> names_;
        };
        template <typename T> T maxOf(T a, T b) { auto l = [](int x) { return x; }; return a; }
        double Circle::area(double scale) const { return 1; }
        Circle::Circle() {}
        Circle::~Circle() {}
        const int kTop = 1;
        std::string name{"x"};
        auto trail(int a) -> int { return a; }
        concept C = true;
        }
        extern "C" { void cfun(int); }
        class Fwd;
        enum Plain : int { P };
        int& ref(int& a) { return a; }
        """,
        """
        5-6 type Alias | using Alias = std::vector<int>
        6-33 module geo.inner | namespace geo::inner
        8-24 class geo.inner.Circle | class Circle : public Shape<T>, private Other
        10-11 method geo.inner.Circle.Circle | explicit Circle(double r = 1.0) : radius_(r)
        11-12 method geo.inner.Circle.~Circle | ~Circle()
        12-13 method geo.inner.Circle.area | virtual double area(double scale) const override = 0
        13-14 attribute geo.inner.Circle.kMax | static constexpr int kMax = 10
        14-15 method geo.inner.Circle.operator() | double operator()(int x)
        15-16 method geo.inner.Circle.operator== | bool operator==(const Circle& o) const
        16-17 enum geo.inner.Circle.Kind | enum class Kind
        16-17 attribute geo.inner.Circle.Kind.A | A
        16-17 attribute geo.inner.Circle.Kind.B | B
        17-18 class geo.inner.Circle.Nested | struct Nested
        17-18 attribute geo.inner.Circle.Nested.v | int v
        18-19 method geo.inner.Circle.ptr | int *ptr()
        20-21 attribute geo.inner.Circle.radius_ | double radius_ = 0, w_
        20-21 attribute geo.inner.Circle.w_ | double radius_ = 0, w_
        21-22 attribute geo.inner.Circle.p_ | int* p_
        22-23 attribute geo.inner.Circle.names_ | std::vector<std::string> names_
        24-25 function geo.inner.maxOf | template <typename T> T maxOf(T a, T b)
        25-26 method geo.inner.Circle.area | double Circle::area(double scale) const
        26-27 method geo.inner.Circle.Circle | Circle::Circle()
        27-28 method geo.inner.Circle.~Circle | Circle::~Circle()
        28-29 variable geo.inner.kTop | const int kTop = 1
        29-30 variable geo.inner.name | std::string name{"x"}
        30-31 function geo.inner.trail | auto trail(int a) -> int
        31-32 type geo.inner.C | concept C = true
        33-34 function cfun | void cfun(int)
        35-36 enum Plain | enum Plain : int
        35-36 attribute Plain.P | P
        36-37 function ref | int& ref(int& a)
        """,
    )
    assert list(found.imports) == [
        Import("vector", 0, ALL),
        Import("shape.hpp", 1, ALL),
    ]
    assert {"vector", "string", "Fwd"} <= found.references.keys()
    assert not {"kTop", "public", "names_"} & found.references.keys()


def test_csharp():
    found = check(
        "csharp",
        """
        using System;
        using System.Collections.Generic;
        using Alias = System.Text.StringBuilder;
        using static System.Math;
        global using Foo.Bar;
        namespace Shapes.Core;
        /// <summary>Doc</summary>
        [Serializable]
        public partial class Circle<T> : Base, IShape where T : class
        {
            private const int Max = 10;
            private readonly double _radius = 1.0, _w;
            public double Radius { get; set; } = 1;
            public string Name => "x";
            public event EventHandler Changed;
            public Circle(double radius) : base(radius) { _radius = radius; }
            public async Task<double> Area(double scale) { var local = 1; return 1; }
            public int Short() => 1;
            public int this[int i] => i;
            public static Circle operator +(Circle a, Circle b) => a;
            enum Kind { A, B = 2 }
            struct S { public int X; }
            ~Circle() {}
            delegate void D(int a);
        }
        public interface IShape { double Area(double scale); int P { get; } }
        public record Person(string First, int Age);
        public record struct Pt { public int Z; }
        namespace Old { class X { void F() { int G() => 1; Action a = () => { var q = 1; }; } } }
        """,
        """
        5-6 module Shapes.Core | namespace Shapes.Core
        7-25 class Circle | [Serializable] public partial class Circle<T> : Base, IShape where T : class
        10-11 attribute Circle.Max | private const int Max = 10
        11-12 attribute Circle._radius | private readonly double _radius = 1.0, _w
        11-12 attribute Circle._w | private readonly double _radius = 1.0, _w
        12-13 attribute Circle.Radius | public double Radius { get; set; } = 1
        13-14 attribute Circle.Name | public string Name => "x"
        14-15 attribute Circle.Changed | public event EventHandler Changed
        15-16 method Circle.Circle | public Circle(double radius) : base(radius)
        16-17 method Circle.Area | public async Task<double> Area(double scale)
        17-18 method Circle.Short | public int Short()
        20-21 enum Circle.Kind | enum Kind
        20-21 attribute Circle.Kind.A | A
        20-21 attribute Circle.Kind.B | B = 2
        21-22 class Circle.S | struct S
        21-22 attribute Circle.S.X | public int X
        23-24 type Circle.D | delegate void D(int a)
        25-26 interface IShape | public interface IShape
        25-26 method IShape.Area | double Area(double scale)
        25-26 attribute IShape.P | int P { get; }
        26-27 class Person | public record Person(string First, int Age)
        26-27 attribute Person.First | string First
        26-27 attribute Person.Age | int Age
        27-28 class Pt | public record struct Pt
        27-28 attribute Pt.Z | public int Z
        28-29 module Old | namespace Old
        28-29 class Old.X | class X
        28-29 method Old.X.F | void F()
        28-29 function Old.X.F.G | int G()
        """,
    )
    assert list(found.imports) == [
        Import("System", 0, ALL),
        Import("System.Collections.Generic", 1, ALL),
        Import("System.Text.StringBuilder", 2, (), "Alias"),
        Import("System.Math", 3, ALL),
        Import("Foo.Bar", 4, ALL),
    ]
    assert {"EventHandler", "Task", "Action"} <= found.references.keys()
    assert not {"Person", "summary", "Radius"} & found.references.keys()

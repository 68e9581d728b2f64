"""Names that languages bring along: what uses them uses nothing of the project."""

import sys
from functools import lru_cache
from importlib import import_module
from typing import Any

_NAMES = """
    abort addEventListener alert allSettled append appendChild apply arguments arrayBuffer assert assign async atob
    attributes await before beforeEach afterEach after bind blob blur body boolean break btoa buffer bytes call
    cancelAnimationFrame catch ceil charAt charCodeAt childNodes children classList className clearInterval
    clearTimeout click clone cloneNode close closest code codePointAt concat confirm console constructor contains
    content cookie copyWithin create createElement createHash createReadStream createServer createTextNode
    createWriteStream crypto currentTarget data dataset debug decodeURIComponent deepEqual deepStrictEqual default
    defineProperty delete describe detail disabled dispatchEvent document documentElement done doesNotMatch
    doesNotReject doesNotThrow elements emit encodeURIComponent endsWith entries equal error every exec existsSync exit
    expect export extends false fetch fileURLToPath fill filter finally find findIndex findLast firstChild flat
    flatMap floor focus forEach formData freeze from fromCharCode fromEntries function generator get getAttribute
    getDate getDay getElementById getElementsByClassName getFullYear getHours getItem getMilliseconds getMinutes
    getMonth getOwnPropertyNames getPrototypeOf getSeconds getTime getUTCDate getUTCFullYear getUTCHours getUTCMonth
    global globalThis groupBy hasAttribute hasOwn hasOwnProperty hash head headers history href hostname hypot import
    implements includes indexOf info innerHTML innerText insertAdjacentHTML insertBefore instanceof interface isArray
    isFinite isInteger isNaN isPrototypeOf iterator join json keyof keys lastChild lastIndexOf length listen
    localStorage localeCompare location log match matchAll matches math message method mkdirSync mkdtempSync mock
    module multiline namespace navigator never nextSibling nodeName nodeType notEqual notDeepEqual notStrictEqual now
    number object observe once onclick open origin ownKeys padEnd padStart parent parentElement parentNode parse
    parseFloat parseInt partial pathname performance pick pipe pop port postMessage preventDefault private process
    promise promisify prompt protected protocol prototype public push pushState queueMicrotask quit race random
    readFile readFileSync readdirSync readonly readyState reason record reduce reduceRight reject rejects reload remove
    removeAttribute removeChild removeEventListener removeItem removeListener rename renameSync repeat replace
    replaceAll replaceChildren replaceState request requestAnimationFrame require resolve response reverse rmSync
    round satisfies screen scroll search searchParams send sessionStorage set setAttribute setDate setFullYear setHours
    setInterval setItem setMinutes setMonth setPrototypeOf setSeconds setTime setTimeout shift signal skip slice some
    sort source splice split sqrt stack startsWith statSync static statusCode statusText stderr stdin stdout
    stopPropagation strictEqual string stringify structuredClone style subarray submit subscribe substring subtest
    suite super switch symbol tagName target test textContent then this throw throws toEqual toBe toDateString
    toFixed toISOString toJSON toLocaleDateString toLocaleString toLocaleTimeString toLowerCase toPrecision toReversed
    toSorted toString toThrow toUTCString toUpperCase trace trim trimEnd trimStart true type typeof undefined union
    unlinkSync unknown unref unshift update url username valueOf values view visibility void warn weakmap width window
    with writable write writeFile writeFileSync writeHead yield Array ArrayBuffer BigInt Boolean Buffer DataView Date
    Error EvalError EventEmitter EventTarget Exclude Extract FormData Function Headers Infinity Intl Iterator JSON Map
    Math NaN NonNullable Number Object Omit Parameters Partial Pick Promise Proxy RangeError Readonly ReadonlyArray
    Record ReferenceError Reflect RegExp Request Required Response ReturnType Set SharedArrayBuffer String Symbol
    SyntaxError TextDecoder TextEncoder TypeError URL URLSearchParams Uint8Array WeakMap WeakRef WeakSet Awaited
    AbortController AbortSignal CustomEvent Element Event HTMLElement HTMLInputElement KeyboardEvent MouseEvent Node
    NodeList Storage
"""
SCRIPT_NAMES = frozenset(_NAMES.split())
"""Of JavaScript, browsers and Node."""
_MODULES = (
    "builtins", "os", "os.path", "sys", "re", "json", "math", "time", "datetime", "decimal", "fractions", "random",
    "pathlib", "shutil", "tempfile", "itertools", "functools", "collections", "collections.abc", "dataclasses", "enum",
    "typing", "types", "abc", "asyncio", "contextlib", "logging", "argparse", "configparser", "csv", "io", "string",
    "textwrap", "subprocess", "threading", "queue", "urllib.parse", "urllib.request", "http.client", "hashlib", "uuid",
    "sqlite3", "unittest", "unittest.mock", "inspect", "operator", "copy", "statistics", "zoneinfo", "email.message",
)  # fmt: skip


@lru_cache(maxsize=1)
def library() -> frozenset[str]:
    """Of Python's own library, too: whatever its modules and their classes have."""
    found: set[str] = set(SCRIPT_NAMES)
    for module_name in _MODULES:
        module: Any = import_module(module_name)
        found |= {str(name) for name in dir(module)}
        for name in dir(module):
            value = getattr(module, name, None)
            if isinstance(value, type):
                found |= {str(name) for name in dir(value)}
    found |= {str(part) for module_name in sys.stdlib_module_names for part in module_name.split(".")}
    return frozenset(found)

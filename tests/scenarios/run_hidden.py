"""Runs the functions `test_*` of the given files on the project in the current folder. The exit status tells."""

import inspect
import runpy
import sys
import tempfile
import traceback
from pathlib import Path


def main(paths: list[str]) -> int:
    sys.path.insert(0, str(Path.cwd()))
    failed = count = 0
    for path in paths:
        try:
            names = runpy.run_path(path)
        except Exception:  # noqa: BLE001 - whatever it is, the file failed
            traceback.print_exc()
            return 1
        for name, test in names.items():
            if not name.startswith("test_"):
                continue
            count += 1
            try:
                if "tmp_path" in inspect.signature(test).parameters:
                    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                        test(tmp_path=Path(folder))
                else:
                    test()
            except Exception:  # noqa: BLE001 - whatever it is, the file failed
                failed += 1
                print(f"FAILED {name}")
                traceback.print_exc()
    return 0 if count and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

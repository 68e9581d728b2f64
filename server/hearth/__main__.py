"""`python -m hearth` is the same as the `hearth` command."""

from hearth.cli import main

raise SystemExit(main())

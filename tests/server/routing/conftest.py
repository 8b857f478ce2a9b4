from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.settings import load_settings

RouterMaker = Callable[..., AbstractContextManager[Router]]

BODIES = {
    "rotate-logs": "Compress yesterday's log files with gzip and delete those older than a month.",
    "grow-disk": "Extend the partition with growpart, then resize2fs the file system.",
    "bake-bread": "Mix flour, water, salt and yeast; let the dough rise over night; bake hot.",
    "pay-invoice": "Check the IBAN, book the invoice, and transfer the money before it is due.",
    "review-code": "Read the diff twice, run the tests, and comment on what may break.",
    "deploy-service": "Build the container image, push it, and roll it out to Kubernetes.",
    "fapiao": "整理差旅发票并提交报销申请。",
}


@pytest.fixture(scope="session")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router over a handful of skills whose descriptions say nothing."""
    root = tmp_path_factory.mktemp("skills")
    for name, body in BODIES.items():
        (root / name).mkdir()
        text = f"---\nname: {name}\ndescription: Helps with things.\n---\n{body}\n"
        (root / name / "SKILL.md").write_text(text, encoding="utf-8")
    settings = load_settings(home=tmp_path_factory.mktemp("home"), roots=(root,), threads=1)
    with Router.open(settings, keep=False) as router:
        router.bring_in_step()
        yield router


@pytest.fixture(scope="session")
def skills_of(router: Router) -> Path:
    """The folder that the router looks at."""
    return router.library.roots[0].path


@pytest.fixture
def open_profile(models_home: Path, skills_of: Path, tmp_path: Path) -> RouterMaker:
    """Opens a router of a profile of that home, over an index of the test's own."""

    @contextmanager
    def opened(profile: str, **changes: Any) -> Iterator[Router]:
        given = {"home": models_home, "roots": (skills_of,), "threads": 1} | changes
        with Router.open(
            load_settings(profile=profile, **given), keep=False, index=tmp_path / "index"
        ) as router:
            router.bring_in_step()
            yield router

    return opened

"""What is published: one version everywhere, and a changelog that begins with it."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import bsr

ROOT = Path(__file__).parents[1]


def test_the_version_is_the_same_everywhere():
    assert version("bilinear-sequence-regression") == bsr.__version__
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", bsr.__version__]


@pytest.mark.skipif(not (ROOT / ".github").exists(), reason="not in the published archive")
def test_a_release_is_tested_before_it_is_published():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))["jobs"]
    assert jobs["publish"]["needs"] == "test"
    assert jobs["test"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert any('pytest -m "not slow"' in step.get("run", "") for step in jobs["test"]["steps"])

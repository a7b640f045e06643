import json
import os
from pathlib import Path

import pytest

from nodewise.core.errors import StoreError
from nodewise.core.store.trees import TreeManifest, check_link, scan

DIGEST = "a" * 64


def manifest(**parts: object) -> bytes:
    return json.dumps({"files": [], "links": [], "directories": [], **parts}).encode()


def file(path: str) -> dict[str, object]:
    return {"path": path, "sha256": DIGEST, "size": 1, "mode": 0o644}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"not json",
        manifest(files=[file("../x")]),
        manifest(files=[file("/etc/passwd")]),
        manifest(files=[file("a/../../x")]),
        manifest(files=[file("a//x")]),
        manifest(files=[file("")]),
        manifest(files=[file("a\0b")]),
        manifest(files=[{**file("a"), "sha256": "../" * 21 + "a"}]),
        manifest(files=[{**file("a"), "mode": 0o4755}]),
        manifest(directories=[".."]),
        manifest(links=[{"path": "a", "target": "../x"}]),
        manifest(links=[{"path": "a", "target": "/etc"}]),
        manifest(links=[{"path": "a", "target": "b"}], files=[file("a/x")]),
    ],
)
def test_a_manifest_that_leads_out_is_refused(raw: bytes) -> None:
    with pytest.raises(StoreError):
        TreeManifest.from_bytes(raw)


@pytest.mark.parametrize(
    ("path", "target"), [("a", "b"), ("d/a", "../b/c"), ("d/e/a", "../../b"), ("a", ".")]
)
def test_a_link_inside_is_allowed(path: str, target: str) -> None:
    check_link(path, target)


@pytest.mark.parametrize(
    ("path", "target"), [("a", ".."), ("d/a", "../../b"), ("d/a", "b/../c"), ("a", "/b"), ("a", "")]
)
def test_a_link_that_may_leave_is_refused(path: str, target: str) -> None:
    with pytest.raises(StoreError, match="leads out"):
        check_link(path, target)


def test_scan_finds_files_links_and_empty_directories(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "d" / "e" / "f").write_text("x")
    (tmp_path / "latest").symlink_to(tmp_path / "d" / "e")

    files, links, directories = scan(tmp_path)

    assert files == ["d/e/f"]
    assert [(link.path, link.target) for link in links] == [("latest", "d/e")]
    assert directories == ["empty"]


@pytest.mark.parametrize("target", ["/etc", "../outside", "/etc/passwd"])
def test_scan_refuses_a_link_that_leaves(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StoreError, match="leads out"):
        scan(tmp_path)


def test_scan_refuses_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="only files"):
        scan(tmp_path)

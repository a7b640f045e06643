"""A package index on loopback with wheels made on the spot: installing from it needs no network."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

QUIET: Mapping[str, str] = {"PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
"""Environment of an agent whose pip knows no index but the one that a component names."""


@dataclass
class PackageIndex:
    """Serves what `add` was given. While `held` is set, whoever asks for a wheel waits."""

    folder: Path
    port: int = 0
    downloads: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    def add(self, name: str, version: str, source: str, *, scripts: Mapping[str, str] | None = None) -> None:
        """A wheel of one module, of the package's name; `scripts` are its programs, by name, as module:function."""
        wheel = f"{name}-{version}-py3-none-any.whl"
        folder = self.folder / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        about = f"{name}-{version}.dist-info"
        entries = "".join(f"{program} = {target}\n" for program, target in (scripts or {}).items())
        files = {
            f"{name}.py": f"VERSION = {version!r}\n{source}",
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{about}/entry_points.txt": f"[console_scripts]\n{entries}" if entries else "",
        }
        with zipfile.ZipFile(folder / wheel, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
            archive.writestr(
                f"{about}/RECORD", "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
            )
        links = [
            f'<a href="{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>'
            for path in sorted(folder.glob("*.whl"))
        ]
        (folder / "index.html").write_text(
            "<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>"
        )


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, index: PackageIndex, **rest: Any) -> None:
        self.index = index
        super().__init__(*args, **rest)

    def do_GET(self) -> None:
        if self.path.endswith(".whl"):
            self.index.asked.set()
            self.index.downloads.append(self.path.rpartition("/")[2])
            if self.index.held.is_set():
                self.index.released.wait(60)
        try:
            super().do_GET()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@contextmanager
def package_index(folder: Path) -> Iterator[PackageIndex]:
    """An index that answers while the block lasts."""
    folder.mkdir()
    index = PackageIndex(folder)
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Handler, index=index, directory=str(folder))
    ) as server:
        index.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield index
        finally:
            index.released.set()
            server.shutdown()
            thread.join()

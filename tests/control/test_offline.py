"""What was downloaded once is installed again without the package index."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .test_install_sw import Small, small  # noqa: F401 - fixture


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def index(folder: Path) -> Iterator[str]:
    """A package index with the wheels of a folder on this machine, as long as the block lasts."""
    root = folder.parent / "served"
    for wheel in folder.glob("*.whl"):
        place = root / "simple" / wheel.name.partition("-")[0]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, place)
        links = "".join(f'<a href="{file.name}">{file.name}</a>\n' for file in sorted(place.glob("*.whl")))
        (place / "index.html").write_text(links)
    handler = functools.partial(_Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()


def test_a_new_cycle_is_installed_where_the_index_cannot_be_reached(small: Small) -> None:  # noqa: F811
    cache = str(small.prodenv.root / "tools/cache/uv")
    with index(small.index) as url:
        environ = {"UV_INDEX_URL": url, "UV_CACHE_DIR": cache}
        done = small.prodenv.run("dataprod-install-sw", small.config, environ=environ)
        assert done.returncode == 0, done.stderr
    other = small.prodenv.cycle("cycles/second")
    shutil.rmtree(other / "dataflow")
    shutil.copytree(small.cycle / "dataflow", other / "dataflow")
    done = small.prodenv.run("dataprod-install-sw", other / "config.json", environ=environ)
    assert done.returncode == 0, done.stderr
    lock = json.loads((other / "software/python/software-lock.json").read_text())
    assert [(entry["name"], entry["version"]) for entry in lock["packages"]] == [("other", "3.1"), ("tiny", "1.0")]

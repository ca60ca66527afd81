"""Package indexes on this machine: wheels written by hand, in folders and behind https with an authority of its own."""

from __future__ import annotations

import contextlib
import functools
import http.server
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

from shells import require_shell

BACKEND = """
import os, re, zipfile

def build_editable(folder, settings=None, metadata=None):
    name = re.search('name = "(.*)"', open("pyproject.toml").read()).group(1)
    info, wheel = name + "-1.0.dist-info", name + "-1.0-py3-none-any.whl"
    texts = {
        name + ".pth": os.getcwd() + "\\n",
        info + "/METADATA": "Metadata-Version: 2.1\\nName: " + name + "\\nVersion: 1.0\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "/built_by.txt": "@ORIGIN@",
    }
    texts[info + "/RECORD"] = "".join(text + ",,\\n" for text in [*texts, info + "/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as file:
        for place, text in texts.items():
            file.writestr(place, text)
    return wheel
"""


def make_backend(folder: Path, origin: str, version: str = "1.0", name: str = "tinyback") -> Path:
    """A wheel of a build backend, in `folder`; what it builds says that `origin` did it."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    texts = {
        f"{name}.py": BACKEND.replace("@ORIGIN@", origin),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as file:
        for place, text in texts.items():
            file.writestr(place, text)
        file.writestr(f"{info}/RECORD", "".join(f"{place},,\n" for place in [*texts, f"{info}/RECORD"]))
    return wheel


def make_project(folder: Path, settings: str = "", requires: str = '"tinyback"') -> Path:
    """A package that such a backend builds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = [{requires}]\nbuild-backend = "tinyback"\n\n'
        f'[project]\nname = "tiny"\nversion = "1.0"\n\n{settings}\n'
    )
    (folder / "tiny.py").write_text("")
    return folder


def find_builder(venv: Path) -> str:
    """Who built the package that is installed there."""
    (found,) = venv.glob("lib/python*/site-packages/tiny-1.0.dist-info/built_by.txt")
    return found.read_text()


def make_authority(folder: Path) -> tuple[Path, Path]:
    """A certificate authority's certificate, and a server's for this machine with its key, by openssl(1)."""
    folder.mkdir(parents=True)
    authority, server = folder / "authority.pem", folder / "server.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    config = folder / "config"
    config.write_text(
        "[req]\ndistinguished_name = name\n[name]\n"
        "[authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n"
        "[server]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1\nextendedKeyUsage = serverAuth\n"
    )
    program = require_shell("openssl")
    run = functools.partial(subprocess.run, cwd=folder, check=True, capture_output=True)
    run([program, "req", "-x509", "-config", config, "-extensions", "authority", "-subj", "/CN=test authority",
         *key, "-keyout", "authority.key", "-out", authority])  # fmt: skip
    run([program, "req", "-config", config, "-subj", "/CN=localhost", *key, "-keyout", "server.key", "-out", "csr"])
    run([program, "x509", "-req", "-in", "csr", "-CA", authority, "-CAkey", "authority.key", "-CAcreateserial",
         "-days", "2", "-extfile", config, "-extensions", "server", "-out", server])  # fmt: skip
    server.write_text(server.read_text() + (folder / "server.key").read_text())
    return authority, server


class Handler(http.server.SimpleHTTPRequestHandler):
    """The folder's files; a page of links for each folder."""

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path, certificate: Path) -> Iterator[str]:
    """Serve `folder` (NAME/NAME-VERSION-py3-none-any.whl, as an index has them); gives its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.handle_error = lambda *_: None  # who does not trust it goes away  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

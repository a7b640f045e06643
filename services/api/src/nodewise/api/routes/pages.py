"""The documentation pages, with everything that they load served from here: they need no Internet, and get none."""

import base64
import hashlib
import re
from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

_ASSETS: Final = "/docs/assets"


def add_pages(app: FastAPI) -> None:
    """Serve `/docs` and `/redoc` of an app that was made without them."""
    # Of that package only the files: its application class brings another way to set them up.
    folder = files("fastapi_offline") / "static"
    app.mount(_ASSETS, StaticFiles(directory=str(folder)), name="assets")
    app.add_api_route("/docs", _swagger, include_in_schema=False)
    app.add_api_route("/redoc", _redoc, include_in_schema=False)


def _swagger() -> Response:
    return _within_bounds(
        get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Nodewise API",
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
        )
    )


def _redoc() -> Response:
    return _within_bounds(
        get_redoc_html(
            openapi_url="/openapi.json",
            title="Nodewise API",
            redoc_js_url=f"{_ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{_ASSETS}/favicon.png",
            with_google_fonts=False,
        )
    )


def _within_bounds(page: HTMLResponse) -> Response:
    """The page, which may load and ask what is ours only, run no other script than its own, and be shown in no frame."""
    scripts = re.findall(rb"<script>(.*?)</script>", bytes(page.body), re.DOTALL)
    own = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in scripts)
    page.headers["content-security-policy"] = (
        f"default-src 'none'; script-src 'self' {own}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src blob:; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'"
    )
    return page

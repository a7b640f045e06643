"""The documentation pages, with everything that they load served from here: they need no Internet."""

from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import Response
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
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Nodewise API",
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon.png",
    )


def _redoc() -> Response:
    return get_redoc_html(
        openapi_url="/openapi.json",
        title="Nodewise API",
        redoc_js_url=f"{_ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{_ASSETS}/favicon.png",
        with_google_fonts=False,
    )

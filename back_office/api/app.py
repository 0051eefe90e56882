"""Puts the API together: its routes, its gate, and its description (OpenAPI 3.1)."""

from typing import Any, Final

from fastapi import FastAPI
from starlette.middleware import Middleware

from back_office.api import act_routes, desk_routes, fleet_routes, money_routes
from back_office.api.access import OPERATIONS, Books
from back_office.api.gate import Bounds
from back_office.api.problems import PROBLEM_TYPE, Problem, tell_problems
from back_office.api.rates import Rates

ROOT: Final = "/api/v1"
_TITLE: Final = "venuehub office"
_VERSION: Final = "1"
_ROUTERS: Final = (fleet_routes, money_routes, act_routes, desk_routes)
_ALWAYS: Final = {
    400: "the request cannot be read", 401: "no key that counts", 403: "the key may not do this",
    404: "there is no such thing, or it is another venue's", 408: "the body did not come",
    413: "the request is too long", 415: "the request is no application/json",
    422: "something in the request cannot be meant",
    429: "the key asks too often", 500: "a fault of the office", 503: "the books cannot be asked just now",
}  # fmt: skip
_OF_ACTS: Final = {409: "it cannot be done, or the Idempotency-Key named another request"}


def make_api(books: Books) -> FastAPI:
    """Return the API over one operator's books."""
    app = _bare()
    app.state.books = books
    app.state.rates = Rates(books.monotonic)
    return app


def make_document() -> dict[str, Any]:
    """Return the description of the API; it rests on no books."""
    return _bare().openapi()


def _bare() -> FastAPI:
    app = _Described(
        title=_TITLE, version=_VERSION, docs_url=None, redoc_url=None, openapi_url=f"{ROOT}/openapi.json",
        middleware=[Middleware(Bounds)], separate_input_output_schemas=False, redirect_slashes=False,
    )  # fmt: skip
    for room in _ROUTERS:
        app.include_router(room.router, prefix=ROOT)
    tell_problems(app)
    return app


class _Described(FastAPI):
    """An application that describes its refusals as they are."""

    def openapi(self) -> dict[str, Any]:
        """Return the description, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _finished(super().openapi())
        return self.openapi_schema


def _finished(said: dict[str, Any]) -> dict[str, Any]:
    parts = said["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(name, None)
    parts["schemas"]["Problem"] = Problem.model_json_schema()
    parts["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "vh_…, from `venuehub office api-key add`"}
    }
    parts["responses"] = {
        f"Problem{status}": {
            "description": why, "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, why in {**_ALWAYS, **_OF_ACTS}.items()
    }  # fmt: skip
    for path in said["paths"].values():
        for operation in path.values():
            operation["security"] = [{"key": []}]
            access = OPERATIONS[operation["operationId"]]
            operation["x-roles"], operation["x-reach"] = sorted(access.roles), access.reach
            acts = "requestBody" in operation or any(one["in"] == "header" for one in operation.get("parameters", []))
            for status in {**_ALWAYS, **(_OF_ACTS if acts else {})}:
                operation["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return said

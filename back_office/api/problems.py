"""Every refusal as `application/problem+json` (RFC 9457): one shape, whoever refuses."""

from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from back_office.store.faults import StoreError, StoreRefusedError, StoreUnavailableError

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_S: Final = 5
"""How long somebody is asked to wait where the office cannot answer now."""
log = structlog.get_logger()


class Problem(BaseModel):
    """Why there is no answer. title: the status in words; detail: what is wrong and what to do."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None


def refused(status: int, detail: str, *, headers: dict[str, str] | None = None) -> HTTPException:
    """Return what to raise."""
    return HTTPException(status, detail, headers)


def problem(status: int, detail: str) -> Problem:
    """Return a problem to be kept or sent."""
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)


def problem_answer(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return a problem as an answer."""
    return Response(problem(status, detail).model_dump_json(), status, headers, media_type=PROBLEM_TYPE)


def tell_problems(app: FastAPI) -> None:
    """Let every fault be told as a problem."""

    @app.exception_handler(HTTPException)
    async def of_http(_request: Request, error: HTTPException) -> Response:
        return problem_answer(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def of_request(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return problem_answer(400, "the body is no JSON")
        place = ".".join(str(step) for step in first["loc"])
        return problem_answer(422, f"{place}: {first['msg']}".encode("ascii", "backslashreplace").decode())

    @app.exception_handler(StoreError)
    async def of_store(_request: Request, error: StoreError) -> Response:
        if isinstance(error, StoreUnavailableError):
            return problem_answer(503, "the books cannot be asked just now", {"Retry-After": str(RETRY_S)})
        if isinstance(error, StoreRefusedError):
            return problem_answer(422, "the books cannot hold this")
        log.error("api.books_failed", why=str(error))
        return problem_answer(500, "the books cannot be read: see the office's log")

    @app.exception_handler(Exception)
    async def of_bug(_request: Request, error: Exception) -> Response:
        log.error("api.failed", why=repr(error))
        return problem_answer(500, "a fault of the office: see its log")

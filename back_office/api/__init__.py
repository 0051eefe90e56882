"""The office's API over HTTP: who asks, what they may, and the books' answers. FastAPI and pydantic live here alone.

It imports what the office's other rooms import (ledger, fleet, store); never the worker, the pages, or `app`.
"""

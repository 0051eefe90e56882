"""The office's page for people: what the hubs do, what was taken today, and whether the books balance.

May import `payment_core`, Starlette, sse-starlette and Jinja2; never `back_office.store`: it asks through
`interface`, and `back_office.queries` answers.
"""

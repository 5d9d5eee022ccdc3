"""The form's endpoints: the page, the submission, and the signed status page where answers are read."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from channels.port import Context
from channels.web_form import page
from channels.web_form.parse import Mistakes, parse_form
from channels.web_form.settings import FormDefinition, WebFormSettings
from runtime.http.limits import TokenBuckets, limited
from runtime.http.problem import Problem
from runtime.signing import Signer
from schemas import ids
from schemas.codec import Invalid, loads_strict
from schemas.digest import contact_digest
from schemas.errors import TemporaryError
from schemas.interaction import Contact, Interaction
from schemas.limits import FORM_BYTES, FORM_FIELDS
from schemas.states import InteractionState
from schemas.text import clean_line
from store import ledger, replies
from store.intake import Acceptance, Arrival

STATUS_LIFETIME = timedelta(days=90)
PER_SECOND, BURST = 2.0, 40.0
_WORDS = {
    InteractionState.RECEIVED: "We have your message.",
    InteractionState.QUEUED: "Your message waits for one of us.",
    InteractionState.ANSWERING: "An answer is on its way.",
    InteractionState.ANSWERED: "We have answered.",
    InteractionState.HELD: "We are looking at your message.",
    InteractionState.CLOSED: "This matter is closed.",
    InteractionState.DEAD_LETTER: "We are looking at your message.",
}


def make_router(
    context: Context, accounts: Mapping[str, WebFormSettings], forms: Mapping[str, FormDefinition]
) -> APIRouter:
    router = APIRouter(tags=["web forms"])
    signer = Signer(context.secret, "web_form:status")
    limit = limited(TokenBuckets(PER_SECOND, BURST, context.clock))

    def status_url(conversation_id: str) -> str:
        token = signer.sign(conversation_id, context.clock.now() + STATUS_LIFETIME)
        return f"{context.public_url}/forms/status/{token}"

    @router.get("/forms/status/{token}", summary="Where a submission stands, and its answers")
    async def status(request: Request, token: str) -> Response:
        conversation_id = signer.verify(token, context.clock.now())
        if conversation_id is None:
            raise Problem(404, "This link is not valid, or no longer.")
        database = context.store.database
        known = await database.read(lambda conn: ledger.of_conversation(conn, conversation_id))
        answers = await database.read(lambda conn: replies.of_conversation(conn, conversation_id))
        mine = [(standing, i) for standing, i in known if i is not None]
        if not mine:
            raise Problem(404, "There is nothing under this link.")
        latest: Interaction = mine[-1][1]
        shown = {
            "reference": latest.reference,
            "state": mine[-1][0].state.value,
            "text": _WORDS[mine[-1][0].state],
            "messages": [{"text": i.text, "at": i.accepted_at.isoformat()} for _, i in mine],
            "answers": [
                {
                    "id": reply.id,
                    "text": reply.text,
                    "automatic": reply.automatic,
                    "author": reply.author.name if reply.author.kind == "agent" else "",
                    "at": reply.created_at.isoformat(),
                }
                for reply in answers
            ],
        }
        headers = {"Cache-Control": "no-store"}
        return (
            HTMLResponse(page.status(shown), headers=headers)
            if _html(request)
            else JSONResponse(shown, headers=headers)
        )

    @router.get("/forms/{account}", include_in_schema=False)
    async def form(account: str) -> Response:
        return HTMLResponse(page.form(account, _form(forms, account), {}, {}, secrets.token_hex(16)))

    @router.post(
        "/forms/{account}",
        status_code=201,
        summary="Submit a form (JSON or urlencoded)",
        responses={422: {"description": "Mistakes in the form, or an Idempotency-Key of another submission."}},
    )
    async def submit(request: Request, account: str) -> Response:
        await limit(request)
        definition, settings = _form(forms, account), accounts[account]
        _check_origin(request, settings, context.public_url)
        values = await _values(request)
        given = values.pop("_key", "") if isinstance(values, dict) else ""
        key = clean_line(str(request.headers.get("idempotency-key") or given)[:200]) or secrets.token_hex(16)
        now = context.clock.now()
        contact = parse_form(values, definition, account=account, key=key, queue=settings.queue, received_at=now)
        if isinstance(contact, Mistakes):
            await _count(context, account, "mistakes in the form")
            if _html(request):
                filled = {k: str(v) for k, v in values.items()} if isinstance(values, dict) else {}
                return HTMLResponse(page.form(account, definition, filled, contact.fields, key), status_code=422)
            raise Problem(422, "The form has mistakes.", code="form-mistakes", fields=dict(contact.fields))
        if "idempotency-key" in request.headers and await _used_otherwise(context, contact):
            await _count(context, account, "an idempotency key of another submission")
            raise Problem(
                422,
                "This Idempotency-Key was used for another submission.",
                code="idempotency-key-reused",
                hint="make a new key for what is new; the same key is for sending the same again",
            )
        raw = await request.body()
        media_type = request.headers.get("content-type", "application/json").split(";")[0]
        got: Acceptance = await context.store.intake.accept(
            Arrival(contact=contact, raw=raw, media_type=media_type), now
        )
        url = status_url(got.conversation_id)
        if _html(request):
            return HTMLResponse(page.receipt(got.reference, url), status_code=201)
        return JSONResponse({"reference": got.reference, "status_url": url, "copy": got.copy}, status_code=201)

    return router


async def _values(request: Request) -> Any:
    body = await request.body()
    if len(body) > FORM_BYTES:
        raise Problem(413, f"The form is larger than {FORM_BYTES} bytes.")
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        value = loads_strict(body, limit=FORM_BYTES)
        if isinstance(value, Invalid):
            raise Problem(400, f"The body is not usable: {value.detail}.")
        return value
    if kind == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="strict")
        except (ValueError, UnicodeDecodeError) as error:
            raise Problem(400, f"The body is no urlencoded UTF-8: {error}.") from None
        return dict(pairs)
    raise Problem(415, "Send application/json or application/x-www-form-urlencoded.")


def _form(forms: Mapping[str, FormDefinition], account: str) -> FormDefinition:
    if account not in forms:
        raise Problem(404, "There is no such form.")
    return forms[account]


def _html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _check_origin(request: Request, settings: WebFormSettings, public_url: str) -> None:
    """A page of another site may post only if it is allowed to; programs name no origin."""
    origin = request.headers.get("origin")
    if origin is None or origin == public_url or origin in {o.rstrip("/") for o in settings.origins}:
        return
    if urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Problem(403, "This website may not post to this form.")


async def _used_otherwise(context: Context, contact: Contact) -> bool:
    """Whether other words came under this key before (draft-ietf-httpapi-idempotency-key-header, §2.7). Of two that
    come at the same moment both are accepted, as two."""
    key = ids.interaction_id(contact.channel, contact.account, contact.native_id)
    _, known = (await context.store.database.read(lambda conn: ledger.find(conn, key))) or (None, None)
    return known is not None and known.digest != contact_digest(contact)


async def _count(context: Context, account: str, why: str) -> None:
    try:
        await context.store.intake.refused("web_form", account, why)
    except TemporaryError:
        return

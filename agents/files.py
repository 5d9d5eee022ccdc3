"""Files that agents bring for their answers. The bytes lie in the blob store; what names them is signed for the agent,
so that nobody can send what they never had."""

import asyncio
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile

from agents import access
from agents.models import Enclosed, FileOf, GivenBack, Uploaded
from agents.port import Context
from runtime.http.problem import Problem
from runtime.signing import Signer
from schemas.interaction import Attachment
from schemas.limits import NAME_CHARS
from schemas.text import clean_line
from store import desk, uploads
from store.agents import Agent
from store.blobs import new_upload

FILES = "/api/desk/files"
FORM_BYTES = 64 * 1024
"""What a form takes around its file."""
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What mail programs show in a text."""
DESCRIBED = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            }
        },
    }
}


class Files:
    """What was uploaded, as answers name it."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._settings = context.settings
        self._signer = Signer(context.secret, "desk-file")

    def named(self, file: Attachment, agent: Agent) -> Uploaded:
        """The file's id for this agent."""
        value = orjson.dumps([agent.name, file.model_dump(mode="json")]).decode()
        token = self._signer.sign(value, self._clock.now() + self._settings.uploads_kept)
        return Uploaded(id=token, name=file.name, media_type=file.media_type, size=file.size)

    def given_back(self, file: Attachment, agent: Agent) -> GivenBack:
        """A file of an answer that the agent has withdrawn, for another one."""
        inline = file.content_id is not None
        named = self.named(file.model_copy(update={"content_id": None}), agent)
        return GivenBack(**named.model_dump(), inline=inline)

    def enclosed(self, asked: Enclosed, agent: Agent) -> desk.Enclosed:
        """What the answer encloses. Raises Problem."""
        if len(asked.files) > self._settings.files or len(asked.cc) > self._settings.copies:
            most = f"{self._settings.files} files and {self._settings.copies} copies"
            raise Problem(422, f"An answer takes at most {most}.", code="too-many")
        files = tuple(self._file(each, agent) for each in asked.files)
        if sum(each.size for each in files) > self._settings.file_bytes:
            raise Problem(
                413, f"The files have more than {self._settings.file_bytes} bytes together.", code="too-large"
            )
        return desk.Enclosed(tuple(dict.fromkeys(asked.cc)), files)

    def _file(self, asked: FileOf, agent: Agent) -> Attachment:
        value = self._signer.verify(asked.id, self._clock.now())
        of, found = orjson.loads(value) if value is not None else ("", None)
        if of != agent.name:
            raise Problem(422, "There is no such file of yours: upload it again.", code="no-such-file")
        file = Attachment.model_validate(found)
        if asked.inline and file.media_type not in SHOWN:
            raise Problem(422, f"{file.name} is no image that stands in a text.", code="not-an-image")
        return file.model_copy(update={"content_id": f"{file.sha256[:24]}@inline"}) if asked.inline else file


def make_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["desk"])
    files, settings = Files(context), context.settings
    Signed = Annotated[Agent, Depends(access.SignedIn(context.store))]  # noqa: N806 - a type

    @router.post(FILES, summary="Upload a file for an answer", status_code=201, openapi_extra=DESCRIBED)
    async def upload(agent: Signed, request: Request) -> Uploaded:
        # The form is read here and not by FastAPI, which would do so before it asks who it is.
        async with request.form(max_files=1, max_fields=4) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Problem(422, "Send the file as the field `file` of a multipart form.", code="no-file")
            data = await file.read(settings.file_bytes + 1)
            if len(data) > settings.file_bytes:
                raise Problem(413, f"A file has at most {settings.file_bytes} bytes.", code="too-large")
            dataref, now = await asyncio.to_thread(new_upload, data), context.clock.now()
            await context.store.database.write(lambda conn: uploads.add(conn, dataref, now))
            await context.store.blobs.put_upload(dataref, data)
            name = clean_line((file.filename or "").replace("\\", "/").rpartition("/")[2])[-NAME_CHARS:]
            media_type = clean_line(file.content_type or "").partition(";")[0].lower() or "application/octet-stream"
            sha256 = dataref.rpartition("-")[2]
            kept = Attachment(name=name, media_type=media_type, size=len(data), sha256=sha256, dataref=dataref)
        return files.named(kept, agent)

    return router

"""What the client library makes of an answer that is no success."""

from switchboard.client.errors import BadRequest, NotThere, error_of


def test_a_process_without_a_desk_is_told_from_a_work_item_that_is_gone() -> None:
    """`agents queue` said "status 404", and to take a work item."""
    nowhere = error_of(404, {"type": "about:blank", "title": "Not Found", "status": 404})
    assert isinstance(nowhere, NotThere)
    assert "--url" in nowhere.hint
    gone = error_of(404, {"title": "Not Found", "status": 404, "detail": "there is no such work item"})
    assert isinstance(gone, NotThere)
    assert "--url" not in gone.hint


def test_what_a_request_got_wrong_is_named() -> None:
    """`--cc nonsense` brought "The request does not have the expected form", and no more."""
    errors = [{"place": "body.cc.0", "message": "nonsense is no mail address"}]
    error = error_of(422, {"title": "Unprocessable", "detail": "The request does not fit.", "errors": errors})
    assert isinstance(error, BadRequest)
    assert "cc.0: nonsense is no mail address" in str(error)

"""Our own API below /zitilite/v1: its document, and who may use it."""

from __future__ import annotations

OWN = "/zitilite/v1"


def test_it_has_a_document_and_a_page(controller):
    own = controller.api().on(OWN)
    document = own.get("/swagger.json").body
    assert document["servers"] == [{"url": OWN}]
    page = own.get("/docs")
    assert page.status == 200
    assert OWN in page.body


def test_every_operation_asks_who_is_calling(controller):
    """Nothing of ours answers without a session but what the document marks as public."""
    own = controller.api().on(OWN)
    for path, methods in own.get("/swagger.json").body["paths"].items():
        for method, operation in methods.items():
            if operation["security"]:
                answer = own.call(method.upper(), path.replace("{id}", "x"))
                assert answer.status == 401, f"{method} {path} answers {answer.status}"

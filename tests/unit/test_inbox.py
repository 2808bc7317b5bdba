"""The inbox: whoever may write there can't end a run with it."""

from __future__ import annotations

from pathlib import Path

from evolve.engine.control import Inbox


def test_what_is_no_message_is_put_aside_or_left_alone(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    assert inbox.messages() == []
    name = inbox.send("tell", text="hello")
    for broken, text in (("list", "[1]"), ("half", '{"verb": "tell"'), ("empty", "")):
        (inbox.path / f"{broken}.json").write_text(text)
    (inbox.path / "folder.json").mkdir()
    (inbox.path / "gone.json").symlink_to("nowhere")
    for _ in range(2):
        (message,) = inbox.messages()
        assert (message.id, message.verb, message.data) == (
            name,
            "tell",
            {"text": "hello"},
        )
    assert sorted(path.stem for path in inbox.path.glob("*.bad")) == [
        "empty",
        "half",
        "list",
    ]
    inbox.remove(message)
    assert inbox.messages() == []

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from serdes.values import CTX, SAMPLE, read, write

from durable_trio import (
    RetryableSerDesError,
    SerDes,
    SerdesContext,
    SerDesError,
    ValidationError,
    cbor_serdes,
    compression_stage,
    json_serdes,
    overflow_to_files,
    staged,
)

BIG = {"customer": "Ann", "card": "4111", "lines": list(range(1000))}


def serdes_in(directory: Path, **options: Any) -> SerDes:
    """Return a serializer with a low threshold."""
    return overflow_to_files(json_serdes(), directory, threshold_bytes=100, **options)


def files_in(directory: Path) -> list[Path]:
    """Return every file below *directory*."""
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_small_payloads_stay_as_they_are(tmp_path: Path) -> None:
    """Nothing is written under the threshold, and the text is the inner serializer's."""
    assert write(serdes_in(tmp_path), [1]) == "[1]"
    assert read(serdes_in(tmp_path), "[1]") == [1]
    assert files_in(tmp_path) == []


def test_big_payloads_go_to_a_file_and_come_back(tmp_path: Path) -> None:
    """The payload is a short reference; writing again writes the same file."""
    serdes = serdes_in(tmp_path)
    text = write(serdes, BIG)
    assert len(text) < 400
    assert read(serdes, text) == BIG
    assert write(serdes, BIG) == text
    (file,) = files_in(tmp_path)
    assert json.loads(file.read_text()) == BIG


def test_the_threshold_is_in_bytes(tmp_path: Path) -> None:
    """Characters of two bytes count twice."""
    serdes = serdes_in(tmp_path)
    assert write(serdes, "x" * 98).startswith('"x')
    assert write(serdes, "ü" * 50).startswith('{"durable_trio_file"')


def test_text_that_looks_like_a_reference_is_not_taken_for_one(tmp_path: Path) -> None:
    """It goes to a file, however short it is, and comes back as it was."""
    serdes = serdes_in(tmp_path)
    value = {"durable_trio_file": 1}
    assert read(serdes, write(serdes, value)) == value
    assert len(files_in(tmp_path)) == 1


def test_it_stands_on_other_serializers(tmp_path: Path) -> None:
    """What is compressed is compressed in the file."""
    serdes = overflow_to_files(staged(cbor_serdes(), compression_stage()), tmp_path, threshold_bytes=0)
    assert read(serdes, write(serdes, SAMPLE)) == SAMPLE


# --- previews --------------------------------------------------------------------------------------------


@dataclass
class Order:
    """Has members to mask."""

    customer: str
    card: str


def preview(serdes: SerDes, value: Any) -> Any:
    """Return the preview in the reference to *value*."""
    return json.loads(write(serdes, value)).get("preview")


def test_a_reference_shows_nothing_unless_it_is_asked_to(tmp_path: Path) -> None:
    """A preview is stored in the clear, so it is off by default."""
    assert preview(serdes_in(tmp_path), BIG) is None


def test_a_preview_masks_named_members_at_any_depth(tmp_path: Path) -> None:
    """In dicts, whatever their case; what is long is cut."""
    value = {"order": [{"Card": "4111", "who": "Ann"}], "card": "4111", "text": "x" * 500}
    shown = preview(serdes_in(tmp_path, preview=True, mask=("CARD",)), value)
    assert shown == {"order": [{"Card": "***", "who": "Ann"}], "card": "***", "text": "x" * 100 + "..."}


def test_a_preview_function_is_masked_and_cut_too(tmp_path: Path) -> None:
    """What it returns may be a dataclass, and may be big."""
    serdes = serdes_in(
        tmp_path, preview=lambda value: [Order(value["customer"], value["card"])], mask=["card"]
    )
    assert preview(serdes, BIG) == [{"customer": "Ann", "card": "***"}]
    huge = serdes_in(tmp_path, preview=lambda _: [[["x" * 100] * 10] * 10] * 10)
    assert len(json.dumps(preview(huge, BIG))) <= 2_100


def test_a_preview_never_fails_on_a_value(tmp_path: Path) -> None:
    """What has no plain form is named by its type."""
    cycle: dict[str, Any] = {"raw": b"abc", "odd": object(), "nan": float("nan"), "big": 2**100}
    cycle["self"] = cycle
    shown = preview(serdes_in(tmp_path, preview=lambda _: cycle), BIG)
    assert shown["raw"] == "<3 bytes>"
    assert (shown["odd"], shown["nan"], shown["big"]) == ("<object>", "nan", "...")


def test_a_preview_function_that_fails_fails_the_operation(tmp_path: Path) -> None:
    """It is the user's code, and deterministic."""
    with pytest.raises(SerDesError, match="preview failed for a dict: KeyError"):
        write(serdes_in(tmp_path, preview=lambda value: value["missing"]), BIG)


# --- what must not happen --------------------------------------------------------------------------------


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """Whether its size changed or only its bytes."""
    serdes = serdes_in(tmp_path)
    text = write(serdes, BIG)
    (file,) = files_in(tmp_path)
    data = file.read_bytes()
    for broken in (data[:-1], data + b" ", data[:-1] + b"]"):
        file.write_bytes(broken)
        with pytest.raises(SerDesError, match="is damaged"):
            read(serdes, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    serdes = serdes_in(tmp_path)
    text = write(serdes, BIG)
    files_in(tmp_path)[0].unlink()
    with pytest.raises(SerDesError, match="it is missing") as raised:
        read(serdes, text)
    assert not isinstance(raised.value, RetryableSerDesError)


def test_a_directory_that_is_not_mounted_is_not_made(tmp_path: Path) -> None:
    """The payload would land on the host's own disk."""
    with pytest.raises(SerDesError, match="is the file system mounted"):
        write(serdes_in(tmp_path / "mnt"), BIG)
    assert not (tmp_path / "mnt").exists()


@pytest.mark.parametrize(
    "other",
    [SerdesContext("b2", CTX.execution_arn), SerdesContext("a1", "arn:other")],
    ids=["operation", "arn"],
)
def test_another_operations_reference_is_refused(tmp_path: Path, other: SerdesContext) -> None:
    """A reference that was copied does not open the file."""
    serdes = serdes_in(tmp_path)
    text = write(serdes, BIG)
    with pytest.raises(SerDesError, match="belongs to operation 'a1'"):
        read(serdes, text, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "../../../etc/passwd"},
        {"sha256": "../" * 21 + "a"},
        {"sha256": "A" * 64},
        {"sha256": None},
        {"size": -1},
        {"size": True},
        {"size": "1"},
        {"durable_trio_file": 2},
        {"execution": 7},
    ],
    ids=repr,
)
def test_a_forged_reference_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """No part of it can become a path."""
    serdes = serdes_in(tmp_path)
    forged = {**json.loads(write(serdes, BIG)), **changes}
    with pytest.raises(SerDesError, match=r"malformed reference|version"):
        read(serdes, json.dumps(forged, separators=(",", ":")))


def test_a_reference_that_claims_a_huge_file_costs_nothing(tmp_path: Path) -> None:
    """The size is compared before anything is read."""
    serdes = serdes_in(tmp_path)
    forged = {**json.loads(write(serdes, BIG)), "size": 2**70}
    with pytest.raises(SerDesError, match="is damaged"):
        read(serdes, json.dumps(forged, separators=(",", ":")))


def test_owners_with_any_characters_stay_in_the_directory(tmp_path: Path) -> None:
    """Ids and ARNs never become parts of a path."""
    inside = tmp_path / "inside"
    inside.mkdir()
    ctx = SerdesContext("../../x", "/etc/../arn\x00")
    serdes = serdes_in(inside)
    assert read(serdes, write(serdes, BIG, ctx), ctx) == BIG
    assert len(files_in(inside)) == len(files_in(tmp_path)) == 1


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """What lies there must be what was written there."""
    serdes = serdes_in(tmp_path)
    text = write(serdes, BIG)
    (file,) = files_in(tmp_path)
    moved = tmp_path / "elsewhere"
    file.rename(moved)
    file.symlink_to(moved)
    with pytest.raises(SerDesError, match="cannot read the payload's file"):
        read(serdes, text)


def test_a_pipe_in_place_of_the_file_does_not_hang(tmp_path: Path) -> None:
    """Nobody would ever write to it."""
    serdes = serdes_in(tmp_path)
    text = write(serdes, BIG)
    (file,) = files_in(tmp_path)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(SerDesError, match="is damaged"):
        read(serdes, text)


# --- trouble ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "is_retryable"),
    [
        (errno.EIO, True),
        (errno.ENOSPC, True),
        (errno.ESTALE, True),
        (errno.EACCES, False),
        (errno.EROFS, False),
    ],
    ids=lambda code: errno.errorcode.get(code, str(code)),
)
def test_trouble_of_the_file_system_is_retried_if_it_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_retryable: bool
) -> None:
    """And a write that fails leaves nothing behind."""

    def fail(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(SerDesError, match="cannot store a payload") as raised:
        write(serdes_in(tmp_path), BIG)
    assert isinstance(raised.value, RetryableSerDesError) is is_retryable
    assert files_in(tmp_path) == []


def test_arguments_are_checked_when_the_serializer_is_made(tmp_path: Path) -> None:
    """Every wrong one is named."""
    for options, why in [
        ({"threshold_bytes": -1}, "threshold_bytes must be a whole number of at least 0, not -1"),
        ({"threshold_bytes": "1"}, "threshold_bytes must be"),
        ({"preview": 3}, "preview must be True, False or a function"),
        ({"mask": [1]}, "mask must be names"),
    ]:
        with pytest.raises(ValidationError, match=why):
            overflow_to_files(json_serdes(), tmp_path, **options)  # type: ignore[arg-type]  # the mistakes under test
    with pytest.raises(ValidationError, match="directory must be"):
        overflow_to_files(json_serdes(), "")
    with pytest.raises(ValidationError, match="serdes must have"):
        overflow_to_files(compression_stage(), tmp_path)  # type: ignore[arg-type]  # the mistake under test

"""One entry put into a config text or taken out of it, with proof that nothing else changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skillrouter_install.errors import ConfigSyntaxError, EditError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from skillrouter_install.formats import Format
    from skillrouter_install.formats.json_format import JsonFormat

_UNSAFE = "its layout leaves no place where the entry could be changed without touching the rest"


def find_entry(data: Any, path: Sequence[str]) -> Any:
    """What stands at `path` in plain data, None where there is nothing."""
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data


def put_entry(
    form: Format,
    text: str,
    path: Sequence[str],
    value: dict[str, Any],
    *,
    settable: Collection[str] = (),
) -> str:
    """The text with the entry at `path` saying `value`; the same text where it does already.

    Keys that the user added to the entry stay, those named in `settable` only while `value`
    has them.

    Raises:
        ConfigSyntaxError: the text is not valid.
        EditError: there is no safe place for the entry.
    """
    before = form.read(text)
    present = find_entry(before, path)
    wanted = _merge(present, value, settable) if isinstance(present, dict) else value
    if isinstance(present, dict) and same(present, wanted):
        return text
    expected = _with_entry(before, path, wanted)
    return _first_exact(form, form.put(text, path, wanted), expected, path[:0])


def drop_entry(form: Format, text: str, path: Sequence[str]) -> str:
    """The text without the entry at `path`, and the same text where it has none.

    Raises:
        ConfigSyntaxError: the text is not valid.
        EditError: the entry cannot be taken out alone.
    """
    before = form.read(text)
    if find_entry(before, path) is None:
        return text
    expected = _with_entry(before, path, None)
    return _first_exact(form, form.drop(text, path), expected, path[:-1])


def put_value(form: JsonFormat, text: str, path: Sequence[str], value: Any) -> str:
    """The text with `value`, of any type, at `path`; raises as `put_entry` does."""
    expected = _with_entry(form.read(text), path, value)
    return _first_exact(form, form.put(text, path, value), expected, path[:0])


def append_item(form: JsonFormat, text: str, path: Sequence[str], item: Any) -> str:
    """The text with `item` in the array at `path`; raises as `put_entry` does."""
    before = form.read(text)
    present = find_entry(before, path)
    if isinstance(present, list) and item in present:
        return text
    items = [*present, item] if isinstance(present, list) else [item]
    expected = _with_entry(before, path, items)
    return _first_exact(form, form.append(text, path, item), expected, path[:0])


def drop_item(form: JsonFormat, text: str, path: Sequence[str], item: Any) -> str:
    """The text without `item` in the array at `path`; raises as `drop_entry` does."""
    before = form.read(text)
    present = find_entry(before, path)
    if not isinstance(present, list) or item not in present:
        return text
    expected = _with_entry(before, path, [other for other in present if other != item] or None)
    return _first_exact(form, form.drop_item(text, path, item), expected, path)


def only_entry_differs(form: Format, one: str, other: str, path: Sequence[str]) -> bool:
    """Whether two texts say the same but for the entry at `path`."""
    left, right = (_with_entry(form.read(text), path, None) for text in (one, other))
    return same(_pruned(left, path[:-1]), _pruned(right, path[:-1]))


def same_without_item(
    form: JsonFormat, one: str, other: str, path: Sequence[str], item: Any
) -> bool:
    """Whether two texts say the same but for `item` in the array at `path`."""
    sides = []
    for text in (one, other):
        data = form.read(text)
        items = find_entry(data, path)
        if isinstance(items, list):
            data = _with_entry(data, path, [each for each in items if each != item])
        sides.append(_pruned(data, path))
    return same(*sides)


def same(left: Any, right: Any) -> bool:
    """Whether two values of plain data are equal: 1, 1.0 and true differ, the order of keys not."""
    return bool(_canonical(left) == _canonical(right))


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        members = [(repr(key), _canonical(item)) for key, item in value.items()]
        return "object", sorted(members, key=lambda member: member[0])
    if isinstance(value, (list, tuple)):
        return "array", [_canonical(item) for item in value]
    return type(value).__name__, repr(value)


def _merge(
    present: dict[str, Any], value: dict[str, Any], settable: Collection[str]
) -> dict[str, Any]:
    merged = {key: item for key, item in present.items() if key in value or key not in settable}
    for key, item in value.items():
        old = merged.get(key)
        merged[key] = {**old, **item} if isinstance(old, dict) and isinstance(item, dict) else item
    return merged


def _with_entry(data: Any, path: Sequence[str], value: Any) -> Any:
    """A copy of the data with `value` at `path`, or without that entry where it is None."""
    if not isinstance(data, dict) and data is not None:
        raise EditError("an object is needed where the entry should go")
    copy = dict(data or {})
    key, *rest = path
    if rest:
        if key in copy or value is not None:
            copy[key] = _with_entry(copy.get(key), rest, value)
    elif value is None:
        copy.pop(key, None)
    else:
        copy[key] = value
    return copy


def _pruned(data: Any, path: Sequence[str]) -> Any:
    """The data less the containers on `path` that hold nothing: empty and absent are the same."""
    if not path or not isinstance(data, dict) or path[0] not in data:
        return data
    inner = _pruned(data[path[0]], path[1:])
    copy = {key: item for key, item in data.items() if key != path[0]}
    return {**copy, path[0]: inner} if inner else copy


def _first_exact(
    form: Format, candidates: Iterable[str], expected: Any, may_be_empty: Sequence[str]
) -> str:
    for candidate in candidates:
        try:
            found = form.read(candidate)
        except ConfigSyntaxError:
            continue
        if same(_pruned(found, may_be_empty), _pruned(expected, may_be_empty)):
            return candidate
    raise EditError(_UNSAFE)

"""Reads a pprof profile and prints it as JSON, by what the format says and nothing else.

Format: https://github.com/google/pprof/blob/main/proto/profile.proto. The rules that Go's reader
checks are checked here as well.
"""

import gzip
import json
import sys


def varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number & (1 << 64) - 1, at


def signed(number):
    return number - (1 << 64) if number >> 63 else number


def fields(data):
    at, found = 0, {}
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            length, at = varint(data, at)
            assert at + length <= len(data), "a field is longer than its message"
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"wire type {kind} is not in this format")
        found.setdefault(key >> 3, []).append(value)
    return found


def numbers(values):
    out = []
    for value in values:
        if isinstance(value, int):
            out.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            out.append(number)
    return out


def one(found, tag):
    return found.get(tag, [0])[-1]


def by_id(items):
    ids = {one(item, 1): item for item in items}
    assert 0 not in ids and len(ids) == len(items), "ids are unique and not 0"
    return ids


def main(path):
    with gzip.open(path) as file:
        profile = fields(file.read())
    texts = [text.decode() for text in profile[6]]
    assert texts[0] == "", "the first text is empty"

    def every(tag):
        return [fields(data) for data in profile.get(tag, [])]

    types = [(texts[one(kind, 1)], texts[one(kind, 2)]) for kind in every(1)]
    mappings, functions, locations = (by_id(every(tag)) for tag in (3, 5, 4))

    def line(data):
        item = fields(data)
        function = functions[one(item, 1)]
        return {
            "function": texts[one(function, 2)],
            "file": texts[one(function, 4)],
            "line": signed(one(item, 2)),
        }

    def location(number):
        item = locations[number]
        mapping = mappings[one(item, 2)] if one(item, 2) else {}
        address = one(item, 3)
        assert not mapping or one(mapping, 2) <= address < one(mapping, 3)
        return {
            "module": texts[one(mapping, 5)],
            "build_id": texts[one(mapping, 6)],
            "address": address,
            "lines": [line(data) for data in item.get(4, [])],
        }

    def sample(item):
        values = [signed(number) for number in numbers(item[2])]
        assert len(values) == len(types), "a value for each type"
        labels = [fields(data) for data in item.get(3, [])]
        return {
            "values": dict(zip([kind for kind, _ in types], values)),
            "labels": {texts[one(label, 1)]: texts[one(label, 2)] for label in labels},
            "stack": [location(number) for number in numbers(item.get(1, []))],
        }

    first = min(mappings) if mappings else 0
    print(
        json.dumps(
            {
                "types": types,
                "default": texts[one(profile, 14)],
                "program": texts[one(mappings[first], 5)] if first else "",
                "time_nanos": one(profile, 9),
                "duration_nanos": one(profile, 10),
                "comments": [texts[number] for number in numbers(profile.get(13, []))],
                "samples": [sample(item) for item in every(2)],
            }
        )
    )


main(sys.argv[1])

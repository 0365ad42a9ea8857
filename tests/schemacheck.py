"""The JSON Schemas of `spec/schemas`, and what they say against a value."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry

SPEC = Path(__file__).parents[1] / "spec"
SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((SPEC / "schemas").glob("*.schema.json"))
}
REGISTRY = Registry().with_contents((schema["$id"], schema) for schema in SCHEMAS.values())


def subschemas(node):
    """Every schema within a schema, itself first; what stands under `if` and `not` only asks."""
    if not isinstance(node, dict):
        return
    yield node
    for key in ("properties", "patternProperties", "$defs"):
        for inner in node.get(key, {}).values():
            yield from subschemas(inner)
    for key in ("items", "additionalProperties", "propertyNames", "then", "else"):
        yield from subschemas(node.get(key))
    for key in ("allOf", "anyOf", "oneOf"):
        for inner in node.get(key, ()):
            yield from subschemas(inner)


def errors(name, value):
    """Why a value is not as the schema of that name says."""
    return list(Draft202012Validator(SCHEMAS[name], registry=REGISTRY).iter_errors(value))


def told(name, value):
    """The same as text, to be compared with an empty list."""
    return [f"{error.json_path}: {error.message[:300]}" for error in errors(name, value)]


def descriptions(error, name):
    """What the schemas say on the way to the constraint that an error names."""
    found = _on_the_way(
        SCHEMAS[name], list(error.absolute_schema_path), REGISTRY.resolver(SCHEMAS[name]["$id"])
    )
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        found += [error.schema.get("properties", {}).get(key, {}).get("description", "") for key in missing]
    return " ".join(found)


def _on_the_way(node, parts, resolver):
    """The descriptions along a path, of which references are no part; empty if it leads nowhere."""
    found = []
    if isinstance(node, dict) and "$ref" in node:
        resolved = resolver.lookup(node["$ref"])
        found += _on_the_way(resolved.contents, parts, resolved.resolver)
    if not parts:
        found.append("")
    elif isinstance(node, list) or parts[0] in node:
        found += _on_the_way(node[parts[0]], parts[1:], resolver)
    if found and isinstance(node, dict) and isinstance(node.get("description"), str):
        found.append(node["description"])
    return found

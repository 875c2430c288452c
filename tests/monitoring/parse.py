#!/usr/bin/python3
"""Reads figures on standard input with both parsers of python3-prometheus-client.

Writes what each has read as JSON: for each format a list of name, labels and value, and the types.
"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

TEXT = sys.stdin.read()


def read(parse):
    families = list(parse(TEXT))
    samples = [[sample.name, sample.labels, float(sample.value)] for family in families for sample in family.samples]
    types = {family.name: family.type for family in families}
    without_help = [family.name for family in families if not family.documentation]
    return {"samples": samples, "types": types, "without_help": without_help}


json.dump({"classic": read(classic), "openmetrics": read(openmetrics)}, sys.stdout)

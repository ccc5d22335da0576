# SPDX-License-Identifier: Apache-2.0
"""What Airflow reads about this provider, in each of its processes: plain data, no import of Airflow."""

from __future__ import annotations

_PACKAGE = "airflow_provider_dreambooth"
_INTEGRATION = "Stable Diffusion API (ModelsLab)"


def get_provider_info() -> dict[str, object]:
    """Describe the provider; ``airflow providers get airflow-provider-dreambooth`` shows it."""
    return {
        "package-name": "airflow-provider-dreambooth",
        "name": "Dreambooth",
        "description": "Generate pictures at the Stable Diffusion API (ModelsLab), wait for them, keep them.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.modelslab.com",
                "tags": ["service"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "dreambooth",
                "hook-class-name": f"{_PACKAGE}.hooks.dreambooth.DreamboothHook",
                "hook-name": "Stable Diffusion API (Dreambooth)",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "schema", "port"],
                    "relabeling": {"host": "Base URL", "password": "API key"},
                    "placeholders": {"host": "https://modelslab.com"},
                },
                "conn-fields": _connection_fields(),
            }
        ],
        "hooks": [_modules("hooks")],
        "operators": [_modules("operators")],
        "sensors": [_modules("sensors")],
        "triggers": [_modules("triggers")],
        # Airflow 3 finds them at the operators; 2.11 wants them named.
        "extra-links": [f"{_PACKAGE}.links.DreamboothPictureLink", f"{_PACKAGE}.links.DreamboothRequestLink"],
    }


def _modules(kind: str) -> dict[str, object]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.{kind}.dreambooth"]}


def _connection_fields() -> dict[str, object]:
    """
    Name the extras of a connection, as the form of Airflow 3 shows them.

    They carry no defaults: the form would write these into every connection, and they would stay there
    when a later version finds better ones.
    """
    return {
        "api_version": _field(
            "API version",
            "Whose paths are asked: v3 (community), v4 (Dreambooth; used if empty) or v6.",
            "string",
            enum=["v3", "v4", "v6"],
        ),
        "timeout": _field(
            "Timeout (seconds)",
            "How long to wait for a reply; 30 if empty.",
            "number",
            minimum=0.1,
            maximum=3600,
        ),
        "requests_per_second": _field(
            "Requests per second",
            "The most that one process sends; no limit if empty.",
            "number",
            minimum=0.001,
            maximum=10_000,
        ),
        "max_connections": _field(
            "Connections", "The most that one process opens; 10 if empty.", "integer", minimum=1, maximum=1000
        ),
        "verify": _field(
            "Verify TLS", "true (used if empty), false, or the path of a bundle of CA certificates.", "string"
        ),
        "proxy": _field(
            "Proxy",
            "http://proxy.example.com:3128; if empty, as the environment says.",
            "string",
            format="url",
        ),
        "trusted_hosts": _field(
            "Trusted hosts",
            "Hosts besides the base URL's that a redirect may carry the key to, separated by commas.",
            "string",
        ),
    }


def _field(label: str, description: str, kind: str, **schema: object) -> dict[str, object]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}

"""Requests to the API server, through the official client's transport and credentials. Blocking: call it in threads."""

import json
from collections.abc import Iterator
from typing import Any, Final

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException

from .resources import Resource, resource_of

Object = dict[str, Any]
Query = list[tuple[str, Any]]

TIMEOUT_SECONDS: Final = 30
WATCH_SECONDS: Final = 290
"""How long one watch lasts: below the five minutes after which balancers forget silent connections."""
WATCH_SILENCE_SECONDS: Final = 100
"""How long a watch may be silent: the API server sends a bookmark each minute."""


class ApiError(Exception):
    """The API server refused a request or did not answer; `status` is 0 without an answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def is_of_an_ending_namespace(self) -> bool:
        """Whether the namespace takes nothing new, because it is being deleted."""
        return self.status == 403 and "because it is being terminated" in str(self)


class Client:
    """The API server, as one account sees it."""

    def __init__(self, api: ApiClient, field_manager: str) -> None:
        self.configuration: Configuration = api.configuration
        self._api = api
        self._field_manager = field_manager

    @classmethod
    def connect(cls, field_manager: str, context: str | None = None) -> "Client":
        """Return a client with the pod's service account, or outside a cluster with kubectl's configuration."""
        configuration = Configuration()
        if context is not None:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                context=context, client_configuration=configuration
            )
            return cls._of(configuration, field_manager)
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return cls._of(configuration, field_manager)

    @classmethod
    def _of(cls, configuration: Configuration, field_manager: str) -> "Client":
        configuration.connection_pool_maxsize = 64
        configuration.retries = 0  # who asks decides whether to ask again
        configuration.keep_alive = True
        return cls(ApiClient(configuration), field_manager)

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """Return an object, or None when there is none. Raises ApiError."""
        try:
            return self._request("GET", resource.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(
        self, resource: Resource, namespace: str | None, selector: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """Return the objects with these labels and fields, and the version of the list. Raises ApiError."""
        objects: list[Object] = []
        query: Query = [("limit", 500)] + ([("labelSelector", selector)] if selector else [])
        query += [("fieldSelector", fields)] if fields else []
        following: Query = []
        while True:
            answer = self._request("GET", resource.path(namespace), query=query + following)
            for item in answer.get("items", []):
                item["kind"] = resource.kind  # lists leave out what all of their items have in common
                item["apiVersion"] = resource.api_version
                objects.append(item)
            token = answer["metadata"].get("continue")
            if not token:
                return objects, answer["metadata"]["resourceVersion"]
            following = [("continue", token)]

    def watch(
        self, resource: Resource, namespace: str | None, selector: str, version: str
    ) -> Iterator[tuple[str, Object]]:
        """Yield events from a version on until the server ends the watch. Raises ApiError, with status 410 when the
        version is too old.
        """
        query = [
            ("watch", "true"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", WATCH_SECONDS),
        ] + ([("labelSelector", selector)] if selector else [])
        response = self._open("GET", resource.path(namespace), query, None, "", (10, WATCH_SILENCE_SECONDS))
        try:
            for line in response:  # by lines, as a file
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
                yield event["type"], event["object"]
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, "NoAnswer", str(error)) from error
        finally:
            response.close()
            response.release_conn()

    def apply(self, manifest: Object, subresource: str | None = None, *, force: bool = True) -> Object:
        """Apply an object or its status server-side as this field manager, and return it. Raises ApiError.

        Without force, fields of other managers with other values are a conflict, with status 409.
        """
        resource = resource_of(manifest)
        meta = manifest["metadata"]
        return self._request(
            "PATCH",
            resource.path(meta["namespace"], meta["name"], subresource),
            query=[("fieldManager", self._field_manager), ("force", str(force).lower())],
            body=manifest,
            content_type="application/apply-patch+yaml",
        )

    def bring_back(self, manifest: Object) -> Object:
        """Apply an object, whatever others have made of it. Raises ApiError.

        The items of some lists are told apart by a field that anybody may change, such as the port of a Service: the
        changed item then counts as another's, and ours beside it is refused for their common name. Then the lists are
        replaced as a whole before ours are applied.
        """
        try:
            return self.apply(manifest)
        except ApiError as error:
            if error.status != 422:
                raise
        meta = manifest["metadata"]
        patch = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")}
        self.merge(resource_of(manifest), meta["namespace"], meta["name"], patch)
        return self.apply(manifest)

    def merge(self, resource: Resource, namespace: str, name: str, patch: Object) -> Object:
        """Change fields of an object by a merge patch (RFC 7386). Raises ApiError."""
        return self._request(
            "PATCH",
            resource.path(namespace, name),
            query=[("fieldManager", self._field_manager)],
            body=patch,
            content_type="application/merge-patch+json",
        )

    def create(self, resource: Resource, namespace: str, manifest: Object) -> Object:
        """Create an object. Raises ApiError."""
        query = [("fieldManager", self._field_manager)]
        return self._request("POST", resource.path(namespace), query=query, body=manifest)

    def replace(self, resource: Resource, namespace: str, name: str, manifest: Object) -> Object:
        """Replace an object; its resourceVersion guards against another writer. Raises ApiError."""
        query = [("fieldManager", self._field_manager)]
        return self._request("PUT", resource.path(namespace, name), query=query, body=manifest)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete an object of this UID; one that is gone already is fine. Raises ApiError."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            self._request("DELETE", resource.path(namespace, name), body=body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def serves(self, api_version: str) -> bool:
        """Whether the API server serves a group and version. Raises ApiError when it does not answer."""
        try:
            self._request("GET", f"/apis/{api_version}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        response = self._open(method, path, query or [], body, content_type, (10, TIMEOUT_SECONDS))
        try:
            answer: Object = json.loads(response.data)
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, "NoAnswer", f"the API server's response ended early: {error}") from error
        return answer

    def _open(
        self,
        method: str,
        path: str,
        query: Query,
        body: Object | None,
        content_type: str,
        timeout: tuple[int, int],
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return its answer unread.

        Nothing is decoded into the client's models: they know neither our kinds nor fields newer than themselves.
        """
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        request = self._api.param_serialize(
            method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            response: urllib3.BaseHTTPResponse = self._api.call_api(*request, _request_timeout=timeout).response
            if response.status < 400:
                return response
            text = response.data.decode(errors="replace")
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, "NoAnswer", f"the API server does not answer: {error}") from error
        try:
            status = json.loads(text)
        except ValueError:
            status = {}
        raise ApiError(response.status, status.get("reason", ""), status.get("message", text[:500]))

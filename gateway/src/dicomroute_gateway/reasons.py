"""What deliveries, holds, connection tests and what they ask end with: each word once, with its meaning and what to do.

The words are those of status, metrics, logs, the journal and the command line; docs/reference/reasons.md is made from
this list. Whatever carries a reason is typed with it, so that a word which is not here does not pass mypy; a record
read from the journal has text, as another release may have had other words.
"""

from enum import StrEnum, unique
from typing import Final, Literal, Self


@unique
class Reason(StrEnum):
    """Why something is as it is, in one word. `meaning` is a sentence for people, which says what to do."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        """Make a reason of its word and its meaning."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member

    # fmt: off
    # A table: a row a reason, which is longer than other lines where its sentence is.
    # The way to a destination: names, connections, TLS, proxies.
    URL_INVALID = "URLInvalid", "The URL is not valid for a connection: correct it."
    DNS_FAILED = "DNSFailed", "The host name cannot be resolved: correct it, or fix the DNS of the gateway."
    CONNECTION_FAILED = "ConnectionFailed", "The connection fails: start the server, or allow the connection in the firewall or NetworkPolicy."
    CONNECTION_REFUSED = "ConnectionRefused", "The port is closed: start the node, or correct its host and port."
    CONNECT_TIMED_OUT = "ConnectTimedOut", "The connection attempt gets no answer: check the address and firewalls."
    CONNECTION_LOST = "ConnectionLost", "The connection ended before an answer: the log of the other side says why."
    TIMED_OUT = "TimedOut", "No answer came in time: check the server's load, and firewalls that drop packets."
    TLS_UNTRUSTED = "TLSUntrusted", "The certificate is signed by an unknown authority: name the authority in tls.caBundleRef."
    TLS_NAME_MISMATCH = "TLSNameMismatch", "The certificate is for another name: use that name, or issue another certificate."
    TLS_EXPIRED = "TLSExpired", "The certificate has expired or is not valid yet: renew it."
    TLS_NOT_YET_VALID = "TLSNotYetValid", "The certificate is not valid yet: check the clocks."
    TLS_VERSION_UNSUPPORTED = "TLSVersionUnsupported", "The other side supports only TLS 1.1 or older: enable TLS 1.2 there."
    TLS_CLIENT_CERTIFICATE_REQUIRED = "TLSClientCertificateRequired", "The other side requires a client certificate, or another one: set tls.clientCertificateRef."
    TLS_TIMED_OUT = "TLSTimedOut", "The node does not finish the TLS handshake: check that this port uses TLS."
    TLS_FAILED = "TLSFailed", "The TLS handshake failed, and the message says why: check that this port uses TLS."
    PROXY_UNREACHABLE = "ProxyUnreachable", "The proxy does not answer: correct proxy.url."
    PROXY_REFUSED = "ProxyRefused", "The proxy refuses a tunnel to the target: allow it there, or use proxy.noProxy."
    PROXY_AUTHENTICATION_REQUIRED = "ProxyAuthenticationRequired", "The proxy requires a user name and password, or other ones: correct proxy.basic."

    # Credentials.
    SECRET_MISSING = "SecretMissing", "A Secret, a ConfigMap or a key of it does not exist: create it. The message names it."
    CREDENTIAL_INVALID = "CredentialInvalid", "The value in the Secret is empty or not in the right form: correct it."
    CERTIFICATE_UNUSABLE = "CertificateUnusable", "A bundle contains no certificate, or a certificate and its key do not match."
    WORKLOAD_IDENTITY_MISSING = "WorkloadIdentityMissing", "The cloud's webhook gave the pod no token: install the webhook, or restart the pod."
    TOKEN_REFUSED = "TokenRefused", "The token endpoint refuses the request, with the error code in the message: correct spec.auth."
    TOKEN_ENDPOINT_UNREACHABLE = "TokenEndpointUnreachable", "The token endpoint does not answer: correct its URL, or allow the connection to it."
    TOKEN_ENDPOINT_UNAVAILABLE = "TokenEndpointUnavailable", "The token endpoint answers 429 or 5xx. The gateway retries."
    TOKEN_ANSWER_INVALID = "TokenAnswerInvalid", "The answer of the token endpoint contains no token: correct its URL."

    # Associations with a node (PS3.8 9.3): what a requestor fails with.
    ASSOCIATION_REJECTED = "AssociationRejected", "The node rejects the association without a known reason: its log says why."
    APPLICATION_CONTEXT_NOT_SUPPORTED = "ApplicationContextNotSupported", "The node does not support the DICOM application context: the server at this address does not speak DICOM."
    CALLING_AE_TITLE_NOT_RECOGNIZED = "CallingAETitleNotRecognized", "The node does not know the calling AE title: add it on the node, or set callingAETitle."
    CALLED_AE_TITLE_NOT_RECOGNIZED = "CalledAETitleNotRecognized", "The node has another AE title: correct spec.aeTitle."
    PROTOCOL_VERSION_NOT_SUPPORTED = "ProtocolVersionNotSupported", "The node speaks another version of the upper layer protocol."
    TEMPORARY_CONGESTION = "TemporaryCongestion", "The node is congested. The gateway retries."
    LOCAL_LIMIT_EXCEEDED = "LocalLimitExceeded", "The node has reached its limit of associations: raise that limit, or use fewer associations."
    ASSOCIATION_TIMED_OUT = "AssociationTimedOut", "The node accepts the connection, but does not answer the A-ASSOCIATE-RQ in time."
    ABORTED_BY_PEER = "AbortedByPeer", "The node aborted the association: its log says why."
    ABORTED_BY_PEER_DURING_REQUEST = "AbortedByPeerDuringRequest", "The node aborted the association while the gateway was sending a request: its log says why."
    ABORTED_BY_PEER_AFTER_REQUEST = "AbortedByPeerAfterRequest", "The node aborted the association after a whole request: it may have stored the instance."
    RELEASED_BY_PEER = "ReleasedByPeer", "The node released the association before it answered: its log says why."
    RELEASED_BY_PEER_DURING_REQUEST = "ReleasedByPeerDuringRequest", "The node released the association while the gateway was sending a request: its log says why."
    RELEASED_BY_PEER_AFTER_REQUEST = "ReleasedByPeerAfterRequest", "The node released the association after a whole request: it may have stored the instance."
    CONNECTION_LOST_DURING_REQUEST = "ConnectionLostDuringRequest", "The connection ended while a request was sent: the node's log says why."
    CONNECTION_LOST_AFTER_REQUEST = "ConnectionLostAfterRequest", "The connection ended after a whole request: the node may have stored the instance."
    PROTOCOL_VIOLATION = "ProtocolViolation", "The node violated the DICOM standard: the message says how."
    PROTOCOL_VIOLATION_DURING_REQUEST = "ProtocolViolationDuringRequest", "The node violated the protocol while the gateway was sending a request: the message says how."
    PROTOCOL_VIOLATION_AFTER_REQUEST = "ProtocolViolationAfterRequest", "The node violated the protocol after a whole request: it may have stored the instance."
    UNEXPECTED_RESPONSE = "UnexpectedResponse", "The node's response does not match the request."
    UNEXPECTED_RESPONSE_DURING_REQUEST = "UnexpectedResponseDuringRequest", "The node sent a response to another request while the gateway was sending a request."
    UNEXPECTED_RESPONSE_AFTER_REQUEST = "UnexpectedResponseAfterRequest", "The node's response does not match a whole request: it may have stored the instance."
    INTERRUPTED = "Interrupted", "The gateway ended the association: it shut down, or the destination changed."
    INTERRUPTED_AFTER_REQUEST = "InterruptedAfterRequest", "The gateway ended the association after a whole request: the node may have stored the instance."
    SEND_STALLED = "SendStalled", "The node reads nothing of a message: check its log and its load."
    EVENT_STALLED = "EventStalled", "The node did not send a complete event in time."
    RESPONSE_TIMED_OUT = "ResponseTimedOut", "The node did not answer a whole request in time: check its log and its load."

    # Presentation contexts (PS3.8 table 9-18), and what a refused one means for a delivery.
    USER_REJECTION = "UserRejection", "The node refused the presentation context."
    NO_REASON = "NoReason", "The node refused the presentation context and gave no reason."
    ABSTRACT_SYNTAX_NOT_SUPPORTED = "AbstractSyntaxNotSupported", "The node does not support the SOP class."
    TRANSFER_SYNTAXES_NOT_SUPPORTED = "TransferSyntaxesNotSupported", "The node does not support the transfer syntax for the SOP class."
    NOT_ANSWERED = "NotAnswered", "The node's A-ASSOCIATE-AC omits the presentation context, against the standard."
    OTHER_TRANSFER_SYNTAX = "OtherTransferSyntax", "The node accepted a transfer syntax that was not proposed, against the standard."
    NOT_PROPOSED = "NotProposed", "The association was opened without that presentation context."
    CONTEXT_REJECTED = "ContextRejected", "The node refused the SOP class in that transfer syntax without a reason: its log may say why."
    CONTEXT_NOT_ANSWERED = "ContextNotAnswered", "The node does not answer for the SOP class in that transfer syntax, against the standard."
    CONTEXT_NOT_PROPOSED = "ContextNotProposed", "The open association has no presentation context for the instance. The next association will have it."
    TRANSFER_SYNTAX_NOT_PROPOSED = "TransferSyntaxNotProposed", "The node accepted a transfer syntax that was not proposed, against the standard."
    TRANSFER_SYNTAX_NOT_SUPPORTED = "TransferSyntaxNotSupported", "The destination does not accept the transfer syntax: allow it there, or use another route."
    SOP_CLASS_NOT_SUPPORTED = "SOPClassNotSupported", "The destination does not store the SOP class: allow it there, or use another route."

    # Answers to C-STORE and STOW-RS: stored.
    STORED = "Stored", "The destination stored the instance."
    STORED_WITH_WARNING = "StoredWithWarning", "The destination stored the instance with a warning."
    STORED_BEFORE = "StoredBefore", "An earlier attempt had stored the instance already."
    STORED_THOUGH_NOT_OF_SOP_CLASS = "StoredThoughNotOfSOPClass", "The destination stored the instance, but reports that the data set does not match its SOP class."
    DATA_ELEMENTS_COERCED = "DataElementsCoerced", "The destination stored the instance, but changed data elements of it."
    ELEMENTS_DISCARDED = "ElementsDiscarded", "The destination stored the instance without some of its elements."
    IDENTICAL = "Identical", "The destination already has the instance, and it is identical."
    DUPLICATE_ACCEPTED = "DuplicateAccepted", "The destination already has an instance with this UID, and `onDuplicate` accepts that."

    # Answers to C-STORE and STOW-RS: refused, or failed.
    INSTANCE_EXISTS = "InstanceExists", "The destination already has an instance with this UID."
    DUPLICATE_DIFFERS = "DuplicateDiffers", "The destination already has a different instance with this UID: compare them."
    DUPLICATE_INSTANCE = "DuplicateInstance", "The destination already has an instance with this UID, and `onDuplicate` is `Fail`."
    CANNOT_COMPARE = "CannotCompare", "The destination has an instance with this UID, but the comparison failed. The gateway retries."
    OVERWRITE_FAILED = "OverwriteFailed", "The destination's older instance with this UID could not be replaced. The gateway retries."
    NO_SUCH_ATTRIBUTE = "NoSuchAttribute", "The destination does not know an attribute of the instance."
    INVALID_ATTRIBUTE_VALUE = "InvalidAttributeValue", "The destination refuses the value of an attribute of the instance."
    MISSING_ATTRIBUTE = "MissingAttribute", "The instance lacks an attribute that the destination requires."
    MISSING_ATTRIBUTE_VALUE = "MissingAttributeValue", "The instance lacks the value of an attribute that the destination requires."
    INVALID_ARGUMENT_VALUE = "InvalidArgumentValue", "The destination refuses a value of the C-STORE request."
    MISTYPED_ARGUMENT = "MistypedArgument", "The destination refuses a parameter of the C-STORE request."
    INVALID_SOP_INSTANCE = "InvalidSOPInstance", "The destination reports that the SOP Instance UID is not valid."
    NO_SUCH_SOP_INSTANCE = "NoSuchSOPInstance", "The destination looks up the instance instead of storing it."
    NO_SUCH_SOP_CLASS = "NoSuchSOPClass", "The destination does not know the SOP class."
    CLASS_INSTANCE_CONFLICT = "ClassInstanceConflict", "The destination already has an instance with this UID in another SOP class."
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = "DataSetDoesNotMatchSOPClass", "The destination reports that the data set does not match its SOP class."
    CANNOT_UNDERSTAND = "CannotUnderstand", "The destination cannot understand the data set: its log says why."
    PROCESSING_FAILURE = "ProcessingFailure", "The destination failed to process the instance: its log says why."
    VALIDATION_FAILED = "ValidationFailed", "The destination reports that the instance is invalid: its log says why."
    STUDY_MISMATCH = "StudyMismatch", "The instance belongs to another study than the request names."
    BULK_DATA_MISSING = "BulkDataMissing", "Bulk data of the instance is missing at the destination."
    BLOB_NOT_FOUND = "BlobNotFound", "The destination lost data that it was storing. The gateway retries."
    BEING_CREATED = "BeingCreated", "The destination is still storing an earlier copy of the instance. The gateway retries."
    NOT_AUTHORIZED = "NotAuthorized", "The destination does not allow the gateway to do this: grant the permission there."
    UNRECOGNIZED_OPERATION = "UnrecognizedOperation", "The node accepted a storage context, but does not know C-STORE: it is not a storage SCP."
    DUPLICATE_INVOCATION = "DuplicateInvocation", "The node reports that the Message ID is still in use. The gateway retries."
    RESOURCE_LIMITATION = "ResourceLimitation", "The destination has reached a resource limit: free resources there."
    OUT_OF_RESOURCES = "OutOfResources", "The destination has no room: free storage there."
    CANCELLED = "Cancelled", "The node cancelled the operation without a request to cancel."
    REFUSED = "Refused", "The destination refuses the instance with a code that `answers` lists as permanent."
    REFUSED_FOR_NOW = "RefusedForNow", "The destination refuses the instance with a code that `answers` lists as transient. The gateway retries."
    UNEXPECTED_STATUS = "UnexpectedStatus", "The destination answers with an unknown status: its log says what it means."

    # HTTP statuses.
    REDIRECTED = "Redirected", "The server redirects, and the gateway does not follow redirects: set spec.url to the new location."
    BAD_REQUEST = "BadRequest", "The server refuses the instance (400): check the instances of the sender."
    UNAUTHORIZED = "Unauthorized", "The server rejects the credential (401): correct it in its Secret."
    PAYMENT_REQUIRED = "PaymentRequired", "The server requires payment (402): check the account."
    FORBIDDEN = "Forbidden", "The server does not allow this identity to store (403): grant it permission to store."
    NOT_FOUND = "NotFound", "The server has nothing at this address (404), or a search did not find the instance."
    METHOD_NOT_ALLOWED = "MethodNotAllowed", "The server does not store at this address (405): correct spec.url."
    NOT_ACCEPTABLE = "NotAcceptable", "The server cannot answer in a format that the gateway reads (406)."
    CONFLICT = "Conflict", "The server refuses the instance with a conflict (409): it may have another instance with this UID."
    LENGTH_REQUIRED = "LengthRequired", "The server requires the length of the request (411)."
    CONTENT_TOO_LARGE = "ContentTooLarge", "The request is longer than the server or a proxy in front of it allows (413): raise the limit."
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType", "The server does not accept DICOM at this address (415): correct spec.url."
    UNPROCESSABLE = "Unprocessable", "The server cannot process the instance (422): check the instances of the sender."
    FAILED_DEPENDENCY = "FailedDependency", "The server failed because of another failure (424): its log says which."
    THROTTLED = "Throttled", "The server limits the rate of requests (429). The gateway retries later."
    BUSY = "Busy", "The server is temporarily unavailable (408, 425, 503). The gateway retries later."
    SERVER_ERROR = "ServerError", "The server fails with a server error (5xx): its log says why."
    ANSWER_WITHOUT_RESULT = "AnswerWithoutResult", "The answer reports success without a result for the instance: the server may not be a STOW-RS service."
    ANSWER_NAMES_NO_INSTANCE = "AnswerNamesNoInstance", "The answer contains a result without an instance. The gateway retries."
    NOT_IN_ANSWER = "NotInAnswer", "The answer contains other instances, but not this one. The gateway retries."

    # Confirmation of what was sent.
    COMMITTED = "Committed", "The node has committed to the instance."
    NOT_COMMITTED = "NotCommitted", "The node refuses to commit to the instance: its status is a Failure Reason (0008,1197)."
    NOT_IN_REPORT = "NotInReport", "The node's report on storage commitment omits the instance. The gateway retries."
    NO_COMMITMENT_REPORT = "NoCommitmentReport", "The node sent no report on storage commitment in time. The gateway retries."
    COMMITMENT_REFUSED = "CommitmentRefused", "The node refuses the request for storage commitment. The gateway retries."
    FOUND = "Found", "A search at the destination found the instance."
    NOT_SEARCHABLE = "NotSearchable", "This destination cannot search for the instance."
    SEARCH_REFUSED = "SearchRefused", "The destination refuses a search: grant this identity permission to query."
    SEARCH_UNREADABLE = "SearchUnreadable", "The destination's answer to a search is not DICOM JSON."
    CONFIRMATION_NOT_ASKED = "ConfirmationNotAsked", "A confirmation is no longer required, so the delivery counts as delivered."
    NO_ANSWER_YET = "NoAnswerYet", "The destination has not confirmed the instance yet. The gateway asks again."

    # Deliveries: what the gateway decides.
    NOT_SENT = "NotSent", "The instance was not sent, because other instances of its batch could not be sent. The gateway retries."
    TOO_LARGE = "TooLarge", "The request would be longer than the target allows: raise its limit, or send such instances to another destination."
    CAME_AGAIN = "CameAgain", "The sender sent the same instance again, so it is delivered again."
    SUPERSEDED = "Superseded", "The destination has a later version of the instance."
    REPLACED = "Replaced", "The spool could not read the instance, and its sender sent the same bytes again."
    OVER_QUOTA = "OverQuota", "The optional destination has reached its `maxOwed`."
    SPOOL_FULL = "SpoolFull", "A delivery to an optional destination was skipped to make room in the spool."
    STUDY_NOT_COMPLETE = "StudyNotComplete", "The delivery is made once the study of the instance is complete. To send it at once: `dicomroute queue retry --all --in Waiting --study UID`."
    STUDY_CONDITION_FALSE = "StudyConditionFalse", "The study is complete, and whenComplete of the rule is false for it: the delivery is not made."
    ERASED = "Erased", "A person erased the instance from the spool."
    DROPPED = "Dropped", "A person dropped the delivery."
    GATEWAY_ERROR = "GatewayError", "The gateway failed: its log says why. Report it."

    # Preparing what is sent, and the spool.
    DECODER_FAILED = "DecoderFailed", "A decoder exited or took too long: the pixels may be the cause."
    TRANSCODING_FAILED = "TranscodingFailed", "The destination does not accept the transfer syntax, and the gateway cannot convert the instance."
    TRANSFORM_FAILED = "TransformFailed", "A transform of the rule failed for this instance: correct `rules[].transform`."
    SPOOL_UNREADABLE = "SpoolUnreadable", "The spool cannot read the instance's file: check the volume."
    SPOOL_KEY_MISSING = "SpoolKeyMissing", "The key that encrypts the instance is not in its Secret: restore it."
    RECIPE_MISSING = "RecipeMissing", "The spool does not have the recipe of the instance: check the volume."
    TREATMENT_KEY_MISSING = "TreatmentKeyMissing", "The key for de-identifying the instance is not in its Secret: restore it."
    CANNOT_BE_READ = "CannotBeRead", "The bytes are not a data set in their transfer syntax. Nothing of it is sent."
    MAY_SHOW_NAMES = "MayShowNames", "The pixels may show a name, and no object rule covers them."
    MAY_CONTAIN_NAMES = "MayContainNames", "The instance contains a document, text or audio, and no object rule lets it pass."
    QUARANTINED_BY_RULE = "QuarantinedByRule", "An object rule of the profile withholds the instance."
    CANNOT_BE_MASKED = "CannotBeMasked", "The pixels must be masked, but their format does not allow it."
    IDENTIFIER_LEFT = "IdentifierLeft", "The de-identified instance still contains one of the patient's identifiers."
    TAKES_TOO_MUCH = "TakesTooMuch", "It broke the process that de-identifies, or took it more memory or time than an instance may."
    ON_HOLD = "OnHold", "The profile is on hold."

    # Holds of the configuration: they end by themselves when it changes.
    UNMATCHED = "Unmatched", "No rule matches the instance: correct the rules, then release it."
    RULE_ERROR = "RuleError", "A rule could not be evaluated for the instance: correct the rule, then release it."
    CONFLICTING_TREATMENT = "ConflictingTreatment", "Two rules send the instance to one destination with different treatments: correct them, then release it."
    NO_STUDY = "NoStudy", "A rule waits for studies, and the instance has no valid Study Instance UID: drop it, or let a rule without StudyComplete take it."
    STUDY_REVISED = "StudyRevised", "The instance came after its study was complete, and the rule says onRevision: Hold: release it, or drop it."
    STUDY_RULE_ERROR = "StudyRuleError", "whenComplete of the rule has no answer for the study: correct the rule for later studies; release the instance, or drop it."
    ROUTE_HELD = "RouteHeld", "The route is in mode HoldDeliveries: set `spec.mode: Running`."
    DESTINATION_HELD = "DestinationHeld", "The destination is in mode HoldDeliveries: set its `mode: Running` in `spec.destinations`."
    RULE_HELD = "RuleHeld", "Every rule that sends the instance there is in mode HoldDeliveries: set `mode: Running` of one of them."
    NO_SUCH_DESTINATION = "NoSuchDestination", "The destination does not exist: create it again, or drop its deliveries."
    NOT_DEIDENTIFIED = "NotDeidentified", "The destination accepts de-identified instances only, and this instance is not de-identified."
    TREATMENT_NOT_IN_FORCE = "TreatmentNotInForce", "The newest manifest treats what the destination gets, and that treatment is not in force: correct what `Programmed` names."
    OUTSIDE_WINDOW = "OutsideWindow", "The bandwidth limit of the current window is 0: the instance is sent when the window ends."

    # Connection tests.
    REACHABLE = "Reachable", "The destination answers."
    AUTHENTICATED = "Authenticated", "The target accepts the credential, or requires none."
    READY = "Ready", "The target answers an authenticated DICOMweb query, or accepts deliveries."
    NOT_TESTED = "NotTested", "The destination has not been tested: the message says why."
    NOT_PROVEN = "NotProven", "The target's answer does not show whether it accepts the credential: the first delivery will show it."
    VERIFICATION_NOT_ACCEPTED = "VerificationNotAccepted", "The node accepts an association, but does not offer C-ECHO."
    ECHO_FAILED = "EchoFailed", "The node answers a C-ECHO with a failure: the message contains its status."
    NOT_DICOMWEB = "NotDICOMweb", "The server does not answer as DICOMweb: set spec.url to the base URL of the service, without /studies."
    QUERY_NOT_ALLOWED = "QueryNotAllowed", "The target does not allow this identity to query (403, 405, 501). Deliveries do not need queries."
    QUERY_FAILED = "QueryFailed", "The target refuses the query. Its answer does not show whether it stores instances."
    STORE_REFUSED = "StoreRefused", "The target answers queries, but refuses every instance: the message contains its answer."

    # Problems of a gateway, and of sections of its configuration.
    SPOOL_IN_USE = "SpoolInUse", "Another gateway is running on the spool: stop it first."
    SPOOL_VOLUME_UNSAFE = "SpoolVolumeUnsafe", "The volume of the spool does not keep what is written to it: use another one."
    SPOOL_CORRUPT = "SpoolCorrupt", "The journal of the spool is damaged, or files of it are missing: the message says where."
    SPOOL_TOO_NEW = "SpoolTooNew", "A newer gateway wrote to the spool: run that release again."
    SPOOL_FAILED = "SpoolFailed", "The volume failed: nothing is accepted until the gateway is restarted on a volume that works."
    SPOOL_UNUSABLE = "SpoolUnusable", "The spool cannot be opened or read: the message has the system's word for it."
    SPOOL_KEY_INVALID = "SpoolKeyInvalid", "A line of the spool's key is not 32 bytes in base64: correct the Secret."
    CONFIGURATION_MISSING = "ConfigurationMissing", "The configuration is not mounted: look at the ConfigMap and the pod."
    CONFIGURATION_INVALID = "ConfigurationInvalid", "The configuration cannot be used at all: the message says why."
    CONFIGURATION_FORGED = "ConfigurationForged", "The configuration has no valid seal of the operator: check which account writes the ConfigMap."
    PORT_UNAVAILABLE = "PortUnavailable", "A listener cannot open its port: look at what else uses that port."
    LISTENERS_INVALID = "ListenersInvalid", "The listeners cannot be used: the last usable ones stay in effect."
    RULE_INVALID = "RuleInvalid", "A rule does not compile: the last usable rules stay in effect."
    DESTINATION_INVALID = "DestinationInvalid", "A destination cannot be used: its last usable settings stay in effect."
    QUERY_RETRIEVE_INVALID = "QueryRetrieveInvalid", "The settings of queries cannot be used: the last usable ones stay in effect."

    # Archives that queries and retrievals ask.
    ANSWER_UNREADABLE = "AnswerUnreadable", "The archive's answer does not match the request: check that its URL is that of a DICOMweb service."
    ANSWER_TOO_LARGE = "AnswerTooLarge", "The archive's answer to a search is too long."
    ANSWER_CUT_OFF = "AnswerCutOff", "The archive's answer is incomplete."
    RETRIEVAL_REFUSED = "RetrievalRefused", "The archive refused a retrieval."
    TOO_BROAD = "TooBroad", "The archive refuses a search as too broad: narrow the request."
    TOO_MANY_CANDIDATES = "TooManyCandidates", "The search matches more candidates than the limit: narrow the request."
    NOT_RELATIONAL = "NotRelational", "The archive lists instances only within a study, and the request names no study."
    INDEX_INCOMPLETE = "IndexIncomplete", "The index of the spool is still being built."
    INDEX_DAMAGED = "IndexDamaged", "The index of the spool was damaged and is being rebuilt."
    OTHER_STUDY = "OtherStudy", "The archive returned an instance of another study."
    NOT_DICOM = "NotDicom", "The archive returned something other than a DICOM file."
    # fmt: on


TLS_REASONS: Final = frozenset(
    (
        Reason.TLS_UNTRUSTED,
        Reason.TLS_NAME_MISMATCH,
        Reason.TLS_EXPIRED,
        Reason.TLS_NOT_YET_VALID,
        Reason.TLS_VERSION_UNSUPPORTED,
        Reason.TLS_CLIENT_CERTIFICATE_REQUIRED,
        Reason.TLS_TIMED_OUT,
        Reason.TLS_FAILED,
    )
)
"""Why there is no TLS with a target, a node or a token endpoint."""
PROXY_REASONS: Final = frozenset((Reason.PROXY_UNREACHABLE, Reason.PROXY_REFUSED, Reason.PROXY_AUTHENTICATION_REQUIRED))
"""Why a proxy does not bring a request to where it is for."""

NoReason = Literal[""]
"""Where there is nothing to say: of what passed, and of what is not held."""


def recalled(word: str) -> Reason | NoReason:
    """Return the reason that a record has; "" where it has none, or a word of another release."""
    return _REASONS.get(word, "")


_REASONS = {one.value: one for one in Reason}

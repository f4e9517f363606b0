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
    URL_INVALID = "URLInvalid", "Nothing can be connected to by this URL: correct it."
    DNS_FAILED = "DNSFailed", "The host has no address: correct it, or fix the name server that the gateway asks."
    CONNECTION_FAILED = "ConnectionFailed", "No connection comes about: start the server, or open the firewall or the NetworkPolicy to it."
    CONNECTION_REFUSED = "ConnectionRefused", "Nothing listens on that port: start the node, or correct its host and port."
    CONNECT_TIMED_OUT = "ConnectTimedOut", "The connection is not answered: look at the address and at firewalls."
    CONNECTION_LOST = "ConnectionLost", "The connection ended before an answer came: the log of the other side says why."
    TIMED_OUT = "TimedOut", "No answer came in time: look at the server's load, and for a firewall that drops what is sent."
    TLS_UNTRUSTED = "TLSUntrusted", "Nobody named the authority that signed the certificate: name it in tls.caBundleRef."
    TLS_NAME_MISMATCH = "TLSNameMismatch", "The certificate is for another name: use that name, or have another certificate issued."
    TLS_EXPIRED = "TLSExpired", "The certificate is not valid today: have it renewed."
    TLS_NOT_YET_VALID = "TLSNotYetValid", "The certificate is not valid yet: look at the clocks."
    TLS_VERSION_UNSUPPORTED = "TLSVersionUnsupported", "The other side has nothing newer than TLS 1.1: enable TLS 1.2 there."
    TLS_CLIENT_CERTIFICATE_REQUIRED = "TLSClientCertificateRequired", "The other side wants a client certificate, or another one: set tls.clientCertificateRef."
    TLS_TIMED_OUT = "TLSTimedOut", "The node does not finish the TLS handshake: look whether that port has TLS."
    TLS_FAILED = "TLSFailed", "The TLS handshake failed, as the message says: look whether that port has TLS."
    PROXY_UNREACHABLE = "ProxyUnreachable", "The proxy does not answer: correct proxy.url."
    PROXY_REFUSED = "ProxyRefused", "The proxy makes no tunnel to the target: allow it there, or use proxy.noProxy."
    PROXY_AUTHENTICATION_REQUIRED = "ProxyAuthenticationRequired", "The proxy wants a user name and a password, or others: correct proxy.basic."

    # Credentials.
    SECRET_MISSING = "SecretMissing", "A Secret, a ConfigMap or a key of it does not exist: create it. The message names it."
    CREDENTIAL_INVALID = "CredentialInvalid", "The value in the Secret is empty, or is not what it should be: correct it."
    CERTIFICATE_UNUSABLE = "CertificateUnusable", "A bundle has no certificate, or a certificate and its key do not belong together."
    WORKLOAD_IDENTITY_MISSING = "WorkloadIdentityMissing", "The cloud's webhook gave the pod no token: install the webhook, or restart the pod."
    TOKEN_REFUSED = "TokenRefused", "The token endpoint refuses, with the code in the message: correct spec.auth."
    TOKEN_ENDPOINT_UNREACHABLE = "TokenEndpointUnreachable", "The token endpoint does not answer: correct its URL, or open the way to it."
    TOKEN_ENDPOINT_UNAVAILABLE = "TokenEndpointUnavailable", "The token endpoint answers 429 or 5xx; the gateway asks again."
    TOKEN_ANSWER_INVALID = "TokenAnswerInvalid", "What answers at the token endpoint gives no token: correct its URL."

    # Associations with a node (PS3.8 9.3): what a requestor fails with.
    ASSOCIATION_REJECTED = "AssociationRejected", "The node rejects the association without a known reason: its log says why."
    APPLICATION_CONTEXT_NOT_SUPPORTED = "ApplicationContextNotSupported", "The node does not support the DICOM application context: what answers there is no DICOM."
    CALLING_AE_TITLE_NOT_RECOGNIZED = "CallingAETitleNotRecognized", "The node does not know the calling AE title: enter it there, or set callingAETitle."
    CALLED_AE_TITLE_NOT_RECOGNIZED = "CalledAETitleNotRecognized", "The node has another AE title: correct spec.aeTitle."
    PROTOCOL_VERSION_NOT_SUPPORTED = "ProtocolVersionNotSupported", "The node speaks another version of the upper layer protocol."
    TEMPORARY_CONGESTION = "TemporaryCongestion", "The node is congested; the gateway tries again."
    LOCAL_LIMIT_EXCEEDED = "LocalLimitExceeded", "The node has as many associations as it allows: raise its limit, or send on fewer."
    ASSOCIATION_TIMED_OUT = "AssociationTimedOut", "The node takes the connection and does not answer the A-ASSOCIATE-RQ in time."
    ABORTED_BY_PEER = "AbortedByPeer", "The node aborted the association: its log says why."
    ABORTED_BY_PEER_DURING_REQUEST = "AbortedByPeerDuringRequest", "The node aborted the association while it was sent a request: its log says why."
    ABORTED_BY_PEER_AFTER_REQUEST = "AbortedByPeerAfterRequest", "The node aborted the association after a whole request: it may have stored the instance."
    RELEASED_BY_PEER = "ReleasedByPeer", "The node released the association before it answered: its log says why."
    RELEASED_BY_PEER_DURING_REQUEST = "ReleasedByPeerDuringRequest", "The node released the association while it was sent a request: its log says why."
    RELEASED_BY_PEER_AFTER_REQUEST = "ReleasedByPeerAfterRequest", "The node released the association after a whole request: it may have stored the instance."
    CONNECTION_LOST_DURING_REQUEST = "ConnectionLostDuringRequest", "The connection ended while a request was sent: the node's log says why."
    CONNECTION_LOST_AFTER_REQUEST = "ConnectionLostAfterRequest", "The connection ended after a whole request: the node may have stored the instance."
    PROTOCOL_VIOLATION = "ProtocolViolation", "The node did what the standard does not allow: the message says what."
    PROTOCOL_VIOLATION_DURING_REQUEST = "ProtocolViolationDuringRequest", "The node violated the protocol while it was sent a request: the message says how."
    PROTOCOL_VIOLATION_AFTER_REQUEST = "ProtocolViolationAfterRequest", "The node violated the protocol after a whole request: it may have stored the instance."
    UNEXPECTED_RESPONSE = "UnexpectedResponse", "The node answered something else than it was asked."
    UNEXPECTED_RESPONSE_DURING_REQUEST = "UnexpectedResponseDuringRequest", "The node sent a response to something else while it was sent a request."
    UNEXPECTED_RESPONSE_AFTER_REQUEST = "UnexpectedResponseAfterRequest", "The node answered something else after a whole request: it may have stored the instance."
    INTERRUPTED = "Interrupted", "The gateway ended the association: it shut down, or the destination changed."
    INTERRUPTED_AFTER_REQUEST = "InterruptedAfterRequest", "The gateway ended the association after a whole request: the node may have stored the instance."
    SEND_STALLED = "SendStalled", "The node takes no byte of a message: look at its log and its load."
    EVENT_STALLED = "EventStalled", "The node did not send the whole of an event in time."
    RESPONSE_TIMED_OUT = "ResponseTimedOut", "The node did not answer a whole request in time: look at its log and its load."

    # Presentation contexts (PS3.8 table 9-18), and what a refused one means for a delivery.
    USER_REJECTION = "UserRejection", "The node refused the presentation context."
    NO_REASON = "NoReason", "The node refused the presentation context and gave no reason."
    ABSTRACT_SYNTAX_NOT_SUPPORTED = "AbstractSyntaxNotSupported", "The node does not support the SOP class."
    TRANSFER_SYNTAXES_NOT_SUPPORTED = "TransferSyntaxesNotSupported", "The node does not support the transfer syntax for the SOP class."
    NOT_ANSWERED = "NotAnswered", "The node left the presentation context out of its A-ASSOCIATE-AC, against the standard."
    OTHER_TRANSFER_SYNTAX = "OtherTransferSyntax", "The node accepted a transfer syntax that was not proposed, against the standard."
    NOT_PROPOSED = "NotProposed", "The association was opened without that presentation context."
    CONTEXT_REJECTED = "ContextRejected", "The node refused the SOP class in that transfer syntax, and does not say why: its log may."
    CONTEXT_NOT_ANSWERED = "ContextNotAnswered", "The node does not answer for the SOP class in that transfer syntax, against the standard."
    CONTEXT_NOT_PROPOSED = "ContextNotProposed", "The kept association has no context for the instance; the next one has."
    TRANSFER_SYNTAX_NOT_PROPOSED = "TransferSyntaxNotProposed", "The node accepted a transfer syntax that was not proposed, against the standard."
    TRANSFER_SYNTAX_NOT_SUPPORTED = "TransferSyntaxNotSupported", "The destination does not take the transfer syntax: allow it there, or route around it."
    SOP_CLASS_NOT_SUPPORTED = "SOPClassNotSupported", "The destination does not store the SOP class: allow it there, or route around it."

    # Answers to C-STORE and STOW-RS: stored.
    STORED = "Stored", "The destination stored the instance."
    STORED_WITH_WARNING = "StoredWithWarning", "The destination stored the instance with a warning."
    STORED_BEFORE = "StoredBefore", "An earlier attempt had stored the instance already."
    STORED_THOUGH_NOT_OF_SOP_CLASS = "StoredThoughNotOfSOPClass", "The destination stored the instance, and finds that it does not match its SOP class."
    DATA_ELEMENTS_COERCED = "DataElementsCoerced", "The destination stored the instance and changed data elements of it."
    ELEMENTS_DISCARDED = "ElementsDiscarded", "The destination stored the instance without some of its elements."
    IDENTICAL = "Identical", "The destination has the instance already, and it is identical."
    DUPLICATE_ACCEPTED = "DuplicateAccepted", "The destination has an instance of this UID, and `onDuplicate` is content with it."

    # Answers to C-STORE and STOW-RS: refused, or failed.
    INSTANCE_EXISTS = "InstanceExists", "The destination has an instance of this UID."
    DUPLICATE_DIFFERS = "DuplicateDiffers", "The destination has another instance of this UID: compare them."
    DUPLICATE_INSTANCE = "DuplicateInstance", "The destination has an instance of this UID, and `onDuplicate` is `Fail`."
    CANNOT_COMPARE = "CannotCompare", "Whether the destination's instance of this UID is identical could not be found out; tried again."
    OVERWRITE_FAILED = "OverwriteFailed", "The destination's older instance of this UID could not be replaced; tried again."
    NO_SUCH_ATTRIBUTE = "NoSuchAttribute", "The destination does not know an attribute of the instance."
    INVALID_ATTRIBUTE_VALUE = "InvalidAttributeValue", "The destination refuses the value of an attribute of the instance."
    MISSING_ATTRIBUTE = "MissingAttribute", "The destination misses an attribute of the instance."
    MISSING_ATTRIBUTE_VALUE = "MissingAttributeValue", "The destination misses the value of an attribute of the instance."
    INVALID_ARGUMENT_VALUE = "InvalidArgumentValue", "The destination refuses a value of the C-STORE request."
    MISTYPED_ARGUMENT = "MistypedArgument", "The destination refuses a parameter of the C-STORE request."
    INVALID_SOP_INSTANCE = "InvalidSOPInstance", "The destination does not take the SOP Instance UID for a valid UID."
    NO_SUCH_SOP_INSTANCE = "NoSuchSOPInstance", "The destination looks for the instance in place of storing it."
    NO_SUCH_SOP_CLASS = "NoSuchSOPClass", "The destination does not know the SOP class."
    CLASS_INSTANCE_CONFLICT = "ClassInstanceConflict", "The destination has an instance of this UID in another SOP class."
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = "DataSetDoesNotMatchSOPClass", "The destination finds that the data set does not match its SOP class."
    CANNOT_UNDERSTAND = "CannotUnderstand", "The destination cannot understand the data set: its log says why."
    PROCESSING_FAILURE = "ProcessingFailure", "The destination failed to process the instance: its log says why."
    VALIDATION_FAILED = "ValidationFailed", "The destination finds the instance invalid: its log says what."
    STUDY_MISMATCH = "StudyMismatch", "The instance is of another study than the request names."
    BULK_DATA_MISSING = "BulkDataMissing", "The destination misses bulk data of the instance."
    BLOB_NOT_FOUND = "BlobNotFound", "The destination's own storage lost what it had begun to keep; tried again."
    BEING_CREATED = "BeingCreated", "The destination is still storing an earlier copy of the instance; tried again."
    NOT_AUTHORIZED = "NotAuthorized", "The destination does not allow the gateway to do this: give it that right there."
    UNRECOGNIZED_OPERATION = "UnrecognizedOperation", "The node does not know C-STORE on a context that it accepted: it is no storage SCP."
    DUPLICATE_INVOCATION = "DuplicateInvocation", "The node takes the Message ID for one that is still under way; tried again."
    RESOURCE_LIMITATION = "ResourceLimitation", "The destination has reached a limit of its resources: make room there."
    OUT_OF_RESOURCES = "OutOfResources", "The destination has no room: make room there."
    CANCELLED = "Cancelled", "The node ended the operation by a cancellation that nobody asked for."
    REFUSED = "Refused", "The destination refuses the instance with a code that `answers` calls permanent."
    REFUSED_FOR_NOW = "RefusedForNow", "The destination refuses the instance with a code that `answers` calls transient; tried again."
    UNEXPECTED_STATUS = "UnexpectedStatus", "The destination answers with a status that has no meaning here: its log says what it means."

    # HTTP statuses.
    REDIRECTED = "Redirected", "The server redirects, and the gateway does not follow: write where it leads into spec.url."
    BAD_REQUEST = "BadRequest", "The server refuses the instance (400): look at what the sender makes."
    UNAUTHORIZED = "Unauthorized", "The server does not know the credential (401): correct it in its Secret."
    PAYMENT_REQUIRED = "PaymentRequired", "The server wants to be paid (402): look at the account."
    FORBIDDEN = "Forbidden", "The server refuses this identity (403): give it the right to store."
    NOT_FOUND = "NotFound", "There is nothing at this address (404), or a search did not find what was sent."
    METHOD_NOT_ALLOWED = "MethodNotAllowed", "Nothing is stored at this address (405): correct spec.url."
    NOT_ACCEPTABLE = "NotAcceptable", "The server has no answer in a form that the gateway reads (406)."
    CONFLICT = "Conflict", "The server refuses the instance with a conflict (409): it may have another one of this UID."
    LENGTH_REQUIRED = "LengthRequired", "The server wants to know the length of the request first (411)."
    CONTENT_TOO_LARGE = "ContentTooLarge", "The request is longer than the server, or a proxy before it, allows (413): raise the limit."
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType", "The server does not take DICOM at this address (415): correct spec.url."
    UNPROCESSABLE = "Unprocessable", "The server cannot process the instance (422): look at what the sender makes."
    FAILED_DEPENDENCY = "FailedDependency", "The server failed because of another failure (424): its log says which."
    THROTTLED = "Throttled", "The server is asked too much (429); the gateway asks again later."
    BUSY = "Busy", "The server is not available now (408, 425, 503); the gateway asks again later."
    SERVER_ERROR = "ServerError", "The server fails (5xx): its log says why."
    ANSWER_WITHOUT_RESULT = "AnswerWithoutResult", "The answer says success and has no result of the store: what is sent to is perhaps no STOW-RS."
    ANSWER_NAMES_NO_INSTANCE = "AnswerNamesNoInstance", "The answer has a result that names no instance; tried again."
    NOT_IN_ANSWER = "NotInAnswer", "The answer names other instances and not this one; tried again."

    # Confirmation of what was sent.
    COMMITTED = "Committed", "The node commits to the instance."
    NOT_COMMITTED = "NotCommitted", "The node does not commit to the instance: its status is a Failure Reason (0008,1197)."
    NOT_IN_REPORT = "NotInReport", "The node's report on storage commitment leaves the instance out; tried again."
    NO_COMMITMENT_REPORT = "NoCommitmentReport", "The node sent no report on storage commitment in time; tried again."
    COMMITMENT_REFUSED = "CommitmentRefused", "The node refuses the request for storage commitment; tried again."
    FOUND = "Found", "A search at the destination found the instance."
    NOT_SEARCHABLE = "NotSearchable", "What was sent cannot be searched for at this destination."
    SEARCH_REFUSED = "SearchRefused", "The destination refuses a search: give this identity the right to query."
    SEARCH_UNREADABLE = "SearchUnreadable", "The destination's answer to a search is no DICOM JSON."
    CONFIRMATION_NOT_ASKED = "ConfirmationNotAsked", "A confirmation is no longer asked for, and so the delivery counts as made."
    NO_ANSWER_YET = "NoAnswerYet", "The destination has not confirmed yet; the gateway asks again."

    # Deliveries: what the gateway decides.
    NOT_SENT = "NotSent", "The instance was not sent, because others of its batch could not be; tried again."
    TOO_LARGE = "TooLarge", "The request would be longer than the target allows: raise its limit, or route such instances elsewhere."
    CAME_AGAIN = "CameAgain", "The sender sent the same instance again, so it is delivered again."
    SUPERSEDED = "Superseded", "The destination has a later version of the instance."
    REPLACED = "Replaced", "The spool cannot read the instance, and its sender sent the same bytes again."
    OVER_QUOTA = "OverQuota", "An optional destination is owed as much as it may be."
    SPOOL_FULL = "SpoolFull", "A delivery to an optional destination was given up to make room."
    STUDY_NOT_COMPLETE = "StudyNotComplete", "The delivery is made once the study of the instance is complete. To send it at once: `dicomroute queue retry --in Waiting`."
    STUDY_CONDITION_FALSE = "StudyConditionFalse", "The study is complete, and whenComplete of the rule is false for it: the delivery is not made."
    ERASED = "Erased", "A person erased the instance from the spool."
    DROPPED = "Dropped", "A person gave it up."
    GATEWAY_ERROR = "GatewayError", "The gateway failed: its log says why. Report it."

    # Preparing what is sent, and the spool.
    DECODER_FAILED = "DecoderFailed", "A decoder ended, or took too long: the pixels may be the cause."
    TRANSCODING_FAILED = "TranscodingFailed", "The destination does not take the transfer syntax, and the instance has no other form."
    TRANSFORM_FAILED = "TransformFailed", "A transform of the rule cannot be carried out on this instance: correct `rules[].transform`."
    SPOOL_UNREADABLE = "SpoolUnreadable", "The spool cannot read the instance's file: look at the volume."
    SPOOL_KEY_MISSING = "SpoolKeyMissing", "The key that the instance is encrypted with is not in its Secret: put it back."
    RECIPE_MISSING = "RecipeMissing", "The spool does not have the recipe by which the instance is prepared: look at the volume."
    TREATMENT_KEY_MISSING = "TreatmentKeyMissing", "The key by which the instance is de-identified is not in its Secret: put it back."
    CANNOT_BE_READ = "CannotBeRead", "The bytes are not a data set in their transfer syntax; nothing of it is passed."
    MAY_SHOW_NAMES = "MayShowNames", "Its pixels may show a name, and no object rule says what becomes of them."
    MAY_CONTAIN_NAMES = "MayContainNames", "It has a document, text or audio, and no object rule lets it pass."
    QUARANTINED_BY_RULE = "QuarantinedByRule", "An object rule of the profile withholds it."
    CANNOT_BE_MASKED = "CannotBeMasked", "Its pixels are to be masked, and are in a form that cannot be."
    IDENTIFIER_LEFT = "IdentifierLeft", "What was made still has one of the patient's identifiers."
    TAKES_TOO_MUCH = "TakesTooMuch", "It broke the process that de-identifies, or took it more memory or time than an instance may."
    ON_HOLD = "OnHold", "The profile is on hold."

    # Holds of the configuration: they end by themselves when it changes.
    UNMATCHED = "Unmatched", "No rule takes the instance: correct the rules, then release it."
    RULE_ERROR = "RuleError", "A rule has no answer for the instance: correct the rule, then release it."
    CONFLICTING_TREATMENT = "ConflictingTreatment", "Rules name one destination for the instance with different treatments: correct them, then release it."
    NO_STUDY = "NoStudy", "A rule waits for studies, and the instance has no valid Study Instance UID: drop it, or let a rule without StudyComplete take it."
    STUDY_REVISED = "StudyRevised", "The instance came after its study was complete, and the rule says onRevision: Hold: release it, or drop it."
    STUDY_RULE_ERROR = "StudyRuleError", "whenComplete of the rule has no answer for the study: correct the rule for later studies; release the instance, or drop it."
    ROUTE_HELD = "RouteHeld", "The route is in mode HoldDeliveries: set `spec.mode: Running`."
    NO_SUCH_DESTINATION = "NoSuchDestination", "The destination does not exist: create it again, or drop what it is owed."
    NOT_DEIDENTIFIED = "NotDeidentified", "The destination takes de-identified instances alone, and this one is not."
    TREATMENT_NOT_IN_FORCE = "TreatmentNotInForce", "The newest manifest treats what the destination gets, and that treatment is not in force: correct what `Programmed` names."
    OUTSIDE_WINDOW = "OutsideWindow", "The bandwidth of this hour is 0: it goes out when the window ends."

    # Connection tests.
    REACHABLE = "Reachable", "The destination answers."
    AUTHENTICATED = "Authenticated", "The target knows the credential, or asks for none."
    READY = "Ready", "The target answers an authenticated query as a DICOMweb server, or takes what is delivered."
    NOT_TESTED = "NotTested", "It has not been tested: the message says why."
    NOT_PROVEN = "NotProven", "The target's answer does not say whether it knows the credential: the first delivery shows."
    VERIFICATION_NOT_ACCEPTED = "VerificationNotAccepted", "The node associates with the gateway, and takes no C-ECHO."
    ECHO_FAILED = "EchoFailed", "The node answers a C-ECHO with a failure: the message has its status."
    NOT_DICOMWEB = "NotDICOMweb", "What answers is no DICOMweb service: write the base of the service into spec.url, without /studies."
    QUERY_NOT_ALLOWED = "QueryNotAllowed", "The target does not let this identity query (403, 405, 501). No delivery needs a query."
    QUERY_FAILED = "QueryFailed", "The target refuses the query in a way that says nothing of whether it stores."
    STORE_REFUSED = "StoreRefused", "The target answers queries and refuses whatever is stored: the message has its answer."

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
    CONFIGURATION_FORGED = "ConfigurationForged", "The configuration has no valid seal of the operator: look at who writes the ConfigMap."
    PORT_UNAVAILABLE = "PortUnavailable", "A listener cannot open its port: look at what else uses that port."
    LISTENERS_INVALID = "ListenersInvalid", "The listeners cannot be used: the last usable ones stay in effect."
    RULE_INVALID = "RuleInvalid", "A rule does not compile: the last usable rules stay in effect."
    DESTINATION_INVALID = "DestinationInvalid", "A destination cannot be used: its last usable settings stay in effect."
    QUERY_RETRIEVE_INVALID = "QueryRetrieveInvalid", "The settings of queries cannot be used: the last usable ones stay in effect."

    # Archives that queries and retrievals ask.
    ANSWER_UNREADABLE = "AnswerUnreadable", "The archive's answer is not what was asked for: look whether its URL is a DICOMweb service's."
    ANSWER_TOO_LARGE = "AnswerTooLarge", "The archive's answer to a search is longer than is taken."
    ANSWER_CUT_OFF = "AnswerCutOff", "The archive's answer ended before its end."
    RETRIEVAL_REFUSED = "RetrievalRefused", "The archive refused a retrieval."
    TOO_BROAD = "TooBroad", "The archive finds a search too broad: narrow the request."
    TOO_MANY_CANDIDATES = "TooManyCandidates", "More candidates than are looked at: narrow the request."
    NOT_RELATIONAL = "NotRelational", "The archive lists instances within a study alone, and the request names none."
    INDEX_INCOMPLETE = "IndexIncomplete", "The index of the spool is still being built."
    INDEX_DAMAGED = "IndexDamaged", "The index of the spool was damaged and is being built anew."
    OTHER_STUDY = "OtherStudy", "The archive gave an instance of another study."
    NOT_DICOM = "NotDicom", "The archive gave something that is no DICOM file."
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

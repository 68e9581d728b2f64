"""Every exception Hearth raises on purpose.

HearthError                 has a message for the user and a remedy: what to do next
 |- WorkerError             a child process could not be started, died or did not answer
 |- EgressDenied            the gateway refused to contact a host
 |- ConsentRefused          the user did not agree, or was not there to be asked: nothing was sent
 |- NotAffordable           the budget of the day or the free quota does not allow it: nothing was sent
 |- NobodyAnswers           every model that could have taken a request was tried or passed over
 |- LedgerError             what leaves could not be recorded: so nothing may leave
 |   `- LedgerDamaged       records are missing or were changed
 |- JournalError            what is about to change could not be written down, so it could not be undone
 |- IndexFault              what is kept of the index could not be read or written; one of:
 |   |- IndexCorrupt        damaged, foreign or of another version: it is put aside and built anew
 |   |- IndexFull           the disk is full: what was written before is still there
 |   `- IndexAway           in use by somebody else, or its server does not answer: it may work again later
 `- BackendError            a model server could not be used; one of:
     |- Unreachable         no connection: refused, DNS, TLS, proxy
     |- Unauthorised        401 or 403: the key is missing or wrong
     |- ModelMissing        the server does not have the model
     |- ModelLoading        the server is still loading the model; waiting helps, retrying does not
     |- NoRoom              the server cannot hold this model beside the one that it has
     |- ContextOverflow     the prompt does not fit the model's context
     |- RateLimited         429; `retry_after_s` if the server said so
     |- OutOfCredits        402: no credits are left, or the key's own limit is reached; a local model answers
     |- ContentRefused      the provider's moderation or a guardrail refuses the content
     |- ServerFault         5xx, or an error event inside a stream
     |- ProtocolFault       the answer is not what this server kind speaks (HTML, bad JSON, broken framing)
     |- DeadlineExceeded    connect, first byte, idle or total deadline passed
     `- LimitExceeded       a named cap on bytes or tokens was passed
"""


class HearthError(Exception):
    """Base of all. `message` says what happened, `remedy` what the user can do; both are shown as they are."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class WorkerError(HearthError):
    """A child process could not be started, died, or did not answer in time."""


class EgressDenied(HearthError):
    """The gateway refused to contact a host."""


class ConsentRefused(HearthError):
    """The user did not agree, or was not there to be asked. Nothing was sent."""


class NotAffordable(HearthError):
    """The budget of the day, or the quota of free requests, does not allow it. Nothing was sent."""


class NobodyAnswers(HearthError):
    """Every model that could have taken a request was tried or passed over; the message says why."""


class LedgerError(HearthError):
    """What leaves could not be recorded, so nothing may leave."""


class LedgerDamaged(LedgerError):
    """Records of the ledger are missing or were changed. Nothing is added to it."""


class JournalError(HearthError):
    """What is about to change could not be written down. Applied all the same, it could not be undone."""


class IndexFault(HearthError):
    """What is kept of the index could not be read or written."""


class IndexCorrupt(IndexFault):
    """Damaged, foreign or of another version: whoever opened it puts it aside and builds it anew."""


class IndexFull(IndexFault):
    """The disk is full. What was acknowledged before is still there and can be read."""


class IndexAway(IndexFault):
    """In use by somebody else, or its server does not answer: the same call may work later."""


class BackendError(HearthError):
    """A model server could not be used."""


class Unreachable(BackendError):
    """No connection: refused, DNS, TLS or proxy."""


class Unauthorised(BackendError):
    """HTTP 401 or 403."""


class ModelMissing(BackendError):
    """The server does not have the model."""


class ModelLoading(BackendError):
    """The server is still loading the model."""


class NoRoom(BackendError):
    """The server cannot hold this model beside the one that it has."""


class ContextOverflow(BackendError):
    """The prompt does not fit the model's context window."""


class RateLimited(BackendError):
    """HTTP 429. `retry_after_s` is None if the server did not say. `span`: whose limit it is, "minute" or "day" for the
    account's free requests, "" for any other."""

    def __init__(self, message: str, remedy: str = "", retry_after_s: float | None = None, span: str = "") -> None:
        super().__init__(message, remedy)
        self.retry_after_s = retry_after_s
        self.span = span


class OutOfCredits(BackendError):
    """HTTP 402: no credits are left, or the key's own limit is reached."""


class ContentRefused(BackendError):
    """The provider's moderation or a guardrail refuses the content."""


class ServerFault(BackendError):
    """HTTP 5xx, or an error event inside a stream."""


class ProtocolFault(BackendError):
    """The answer is not what this kind of server speaks."""


class DeadlineExceeded(BackendError):
    """A named deadline passed: connect, first byte, idle or total."""


class LimitExceeded(BackendError):
    """A named cap on bytes or tokens was passed."""

/**
 * The closed catalogue of errors. A `Fault` can be made only from an entry here, so every answer a
 * caller can get is on this page: what happened, whose doing it is, whether to retry, what to do.
 * `docs/guides/errors.md` is generated from it. Expected outcomes (a refused message) are values,
 * not faults.
 */
export interface ErrorEntry {
	/** Stable, shown to callers; never reused. */
	readonly code: string;
	readonly status: number;
	/** The SDK's class of error; see `errorTypes`. */
	readonly type: string;
	/** What happened, one sentence. */
	readonly message: string;
	/** What to do about it, one sentence. */
	readonly remedy: string;
	/** Whether the same request may succeed later without a change. */
	readonly retry: boolean;
}

function entry(
	code: string,
	status: number,
	type: string,
	message: string,
	remedy: string,
	retry = false,
): ErrorEntry {
	return { code, status, type, message, remedy, retry };
}

export const catalogue = {
	invalid_json: entry(
		"W01001",
		400,
		"bad_request_error",
		"The body is not valid JSON.",
		"Send a JSON object encoded in UTF-8.",
	),
	unsupported_media_type: entry(
		"W01002",
		415,
		"bad_request_error",
		"The body is not declared as JSON.",
		"Set Content-Type to application/json.",
	),
	bad_request: entry(
		"W01003",
		400,
		"bad_request_error",
		"The request cannot be read.",
		"Compare the request with the reference at /docs.",
	),
	body_too_large: entry(
		"W01004",
		413,
		"payload_too_large_error",
		"The body is larger than this route accepts.",
		"Send a smaller body; split a batch.",
	),
	validation_failed: entry(
		"W01005",
		422,
		"validation_error",
		"A parameter is not acceptable.",
		"Correct the parameters listed in details.",
	),
	route_not_found: entry(
		"W01006",
		404,
		"not_found_error",
		"There is no such route.",
		"See the reference at /docs.",
	),
	method_not_allowed: entry(
		"W01007",
		405,
		"bad_request_error",
		"The route exists, but not with this method.",
		"See the reference at /docs.",
	),
	headers_too_large: entry(
		"W01008",
		431,
		"bad_request_error",
		"The request's headers are too large.",
		"Send fewer or shorter headers.",
	),
	request_timeout: entry(
		"W01009",
		408,
		"bad_request_error",
		"The request did not arrive in time.",
		"Send the whole request at once.",
		true,
	),

	key_missing: entry(
		"W02001",
		401,
		"auth_error",
		"No API key was given.",
		"Send the header Authorization: Bearer <key>.",
	),
	key_invalid: entry(
		"W02002",
		401,
		"auth_error",
		"The API key is unknown, revoked or expired.",
		"Use a current key; create one if needed.",
	),
	permission_denied: entry(
		"W02003",
		403,
		"permission_error",
		"The API key lacks the scope this route needs.",
		"Use a key with the scope named in the message.",
	),
	tenant_suspended: entry(
		"W02004",
		403,
		"permission_error",
		"The tenant is suspended.",
		"Ask the operator of this platform.",
	),

	not_found: entry(
		"W03001",
		404,
		"not_found_error",
		"There is no such object.",
		"Check the id and that the key belongs to the same tenant and environment.",
	),
	conflict: entry(
		"W03002",
		409,
		"conflict_error",
		"The object's present state does not allow this.",
		"Read the object and decide anew.",
	),
	not_cancelable: entry(
		"W03003",
		409,
		"conflict_error",
		"The message can no longer be canceled.",
		"Only a message that is still scheduled or waiting can be canceled.",
	),
	limit_reached: entry(
		"W03004",
		409,
		"conflict_error",
		"The tenant already has as many of these as it may have.",
		"Delete one that is not needed.",
	),

	proof_pending: entry(
		"W03005",
		409,
		"conflict_error",
		"The ledger has not yet signed a checkpoint that covers this.",
		"Ask again in a few seconds.",
		true,
	),
	contact_erased: entry(
		"W03006",
		410,
		"not_found_error",
		"The person this is about was erased; it cannot be read any more.",
		"Nothing: the facts that stay are in lists and events.",
	),

	message_altered: entry(
		"W03008",
		409,
		"conflict_error",
		"What is stored of this message is not what the ledger holds.",
		"Keep this answer, and ask the operator of this platform: somebody or something changed what is stored.",
	),
	request_in_progress: entry(
		"E01004",
		409,
		"conflict_error",
		"A request with this Idempotency-Key is still being executed.",
		"Wait and send the same request again.",
		true,
	),
	idempotency_key_reuse: entry(
		"E01005",
		422,
		"validation_error",
		"This Idempotency-Key was used for a different request.",
		"Use a new key for a new request.",
	),

	rate_limited: entry(
		"W04001",
		429,
		"rate_limit_error",
		"Too many requests wait to be accepted.",
		"Wait as long as Retry-After says and send again.",
		true,
	),

	internal: entry(
		"W05001",
		500,
		"internal_error",
		"Something went wrong on our side.",
		"Retry; if it goes on, give the operator the request_id.",
		true,
	),
	database_unavailable: entry(
		"W05002",
		503,
		"service_unavailable_error",
		"The database cannot be reached; nothing was accepted.",
		"Wait as long as Retry-After says and send again.",
		true,
	),
	storage_full: entry(
		"W05003",
		503,
		"service_unavailable_error",
		"The database has no space left; nothing was accepted.",
		"Wait as long as Retry-After says and send again.",
		true,
	),
	audit_unavailable: entry(
		"W05005",
		503,
		"service_unavailable_error",
		"The ledger cannot record this act, so it was not done.",
		"Wait as long as Retry-After says and send again; if it goes on, tell the operator.",
		true,
	),
	keys_unavailable: entry(
		"W05006",
		503,
		"service_unavailable_error",
		"The key service cannot be reached; nothing was accepted or opened.",
		"Wait as long as Retry-After says and send again.",
		true,
	),
	shutting_down: entry(
		"W05004",
		503,
		"service_unavailable_error",
		"This process is stopping; nothing was accepted.",
		"Send again; another process will answer.",
		true,
	),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorName = keyof typeof catalogue;

export interface FaultDetail {
	/** The parameter as the caller wrote it: `to`, `messages[3].text`, `query.limit`. */
	readonly param: string;
	readonly message: string;
}

export class Fault extends Error {
	readonly entry: ErrorEntry;
	override readonly name: ErrorName;
	readonly details: readonly FaultDetail[];
	readonly retryAfterSeconds: number | undefined;

	private constructor(name: ErrorName, message: string, options: FaultOptions) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.entry = catalogue[name];
		this.name = name;
		this.details = options.details ?? [];
		this.retryAfterSeconds = options.retryAfterSeconds;
	}

	static of(name: ErrorName, options: FaultOptions = {}): Fault {
		return new Fault(name, options.message ?? catalogue[name].message, options);
	}

	/** The commonest fault: one parameter is wrong. `message` says what is wrong and what is allowed. */
	static parameter(param: string, message: string): Fault {
		return Fault.of("validation_failed", { message, details: [{ param, message }] });
	}
}

export interface FaultOptions {
	/** Replaces the catalogue's sentence by a more exact one. Never contains personal data. */
	readonly message?: string;
	readonly details?: readonly FaultDetail[];
	readonly retryAfterSeconds?: number;
	readonly cause?: unknown;
}

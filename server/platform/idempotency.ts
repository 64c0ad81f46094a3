/**
 * Executes a request once under its Idempotency-Key, for routes whose idempotency is `stored`. The key
 * is claimed in a transaction of its own before the handler runs, and the sealed answer is kept for
 * replays. Only successful answers are kept: after any failure the same key may be tried again. A claim
 * whose process died is taken over after a minute. Holds its own SQL, platform having no store.ts.
 */
import type { Clock } from "./clock.ts";
import { type Database, type Scope, sql, type Tx } from "./db.ts";
import { Fault } from "./errors.ts";
import type { Answer, Call } from "./http.ts";

/** Where a sealed answer is bound to; `row` is the key's hash in hexadecimal. */
export interface AnswerPlace extends Scope {
	readonly table: "idempotency_keys";
	readonly column: "answer_sealed";
	readonly row: string;
}

export interface IdempotencyParts {
	readonly db: Database;
	readonly clock: Clock;
	/** Loads the tenant's keys, so that `seal` and `open` may be called. */
	readonly warm: (tenantIds: readonly string[]) => Promise<void>;
	/** SHA-256 over length-prefixed parts. */
	readonly digest: (...parts: readonly string[]) => Buffer;
	/** Of a request, under a key of the tenant: a body is little more than a number, which anybody could try. */
	readonly fingerprint: (tenantId: string, text: string) => Buffer;
	/** Under the key of whom it is about; empty when that key is gone already. */
	readonly seal: Seal;
	/** Throws Fault `contact_erased` when whom it is about was erased. */
	readonly open: Open;
}

type Seal = (
	tx: Tx,
	place: AnswerPlace,
	about: Buffer | undefined,
	plaintext: Buffer,
) => Promise<Buffer>;
type Open = (
	tx: Tx,
	place: AnswerPlace,
	about: Buffer | undefined,
	sealed: Buffer,
) => Promise<Buffer>;

/** A claim older than this belongs to a process that died: longer than any handler may run. */
const claimMs = 60_000;

const claim = sql(
	"platform.idempotency.claim",
	`insert into idempotency_keys (tenant_id, environment, key_hash, fingerprint, status, created_at)
	values ($1, $2, $3, $4, 0, $5)
	on conflict do nothing
	returning status`,
);
const clear = sql(
	"platform.idempotency.clear",
	`delete from idempotency_keys
	where tenant_id = $1 and environment = $2 and key_hash = $3 and status = 0 and created_at < $4`,
);
const release = sql(
	"platform.idempotency.release",
	`delete from idempotency_keys
	where tenant_id = $1 and environment = $2 and key_hash = $3 and status = 0 and created_at = $4`,
);
const find = sql(
	"platform.idempotency.find",
	`select fingerprint, status, answer_sealed, contact_index from idempotency_keys
	where tenant_id = $1 and environment = $2 and key_hash = $3`,
);
const keep = sql(
	"platform.idempotency.keep",
	`update idempotency_keys set status = $4, answer_sealed = $5, contact_index = $7
	where tenant_id = $1 and environment = $2 and key_hash = $3 and status = 0 and created_at = $6`,
);

interface Kept {
	readonly fingerprint: Buffer;
	readonly status: number;
	readonly answer_sealed: Buffer | null;
	readonly contact_index: Buffer | null;
}

interface Request {
	readonly scope: Scope;
	readonly keyHash: Buffer;
	readonly fingerprint: Buffer;
	/** As it was made before it had a key; of the last 72 hours. */
	readonly olderFingerprint: Buffer;
	readonly claimedAt: Date;
}

/**
 * Makes the function that `createHttp` takes as `once`.
 * It throws `idempotency_key_reuse` when the key was used for another request, and
 * `request_in_progress` while the first is still being executed.
 */
export function createOnce(
	parts: IdempotencyParts,
): (call: Call, execute: () => Promise<Answer>) => Promise<Answer> {
	const underWay = new Set<string>();
	return async (call, execute) => {
		if (call.idempotency === undefined) return execute();
		await parts.warm([call.scope.tenantId]);
		const request = requestOf(parts, call.scope, call.idempotency);
		const key = `${request.scope.tenantId}/${request.scope.environment}/${hex(request.keyHash)}`;
		if (underWay.has(key)) throw inProgress();
		underWay.add(key);
		try {
			const kept = await claimOrFind(parts.db, request);
			if (kept !== undefined) return replay(parts, request, kept);
			return await executeAndKeep(parts, request, execute);
		} finally {
			underWay.delete(key);
		}
	};
}

function requestOf(
	{ digest, fingerprint, clock }: IdempotencyParts,
	scope: Scope,
	idempotency: NonNullable<Call["idempotency"]>,
): Request {
	const { fingerprintInput } = idempotency;
	return {
		scope,
		keyHash: digest("idempotency", scope.tenantId, scope.environment, idempotency.keyHashInput),
		fingerprint: fingerprint(scope.tenantId, fingerprintInput),
		olderFingerprint: digest(fingerprintInput),
		claimedAt: new Date(clock.now()),
	};
}

function keyOf({ scope, keyHash }: Request): readonly [string, string, Buffer] {
	return [scope.tenantId, scope.environment, keyHash];
}

/** Claims the key (undefined) or returns the row that holds it. One transaction. */
function claimOrFind(db: Database, request: Request): Promise<Kept | undefined> {
	return db.inTenant(request.scope, async (tx: Tx) => {
		const key = keyOf(request);
		tx.post(clear, [...key, new Date(request.claimedAt.getTime() - claimMs)]);
		const claimed = await tx.query(claim, [...key, request.fingerprint, request.claimedAt]);
		if (claimed.length > 0) return undefined;
		const [kept] = await tx.query<Kept>(find, key);
		// Released between the two statements: whoever held it failed, and the caller may try again.
		if (kept === undefined) throw inProgress();
		return kept;
	});
}

async function replay(
	{ db, open }: IdempotencyParts,
	request: Request,
	kept: Kept,
): Promise<Answer> {
	const { fingerprint, olderFingerprint } = request;
	if (!kept.fingerprint.equals(fingerprint) && !kept.fingerprint.equals(olderFingerprint))
		throw Fault.of("idempotency_key_reuse");
	const { status, answer_sealed: sealed, contact_index: about } = kept;
	if (status === 0 || sealed === null) throw inProgress();
	const text = await db.inTenant(request.scope, (tx) =>
		open(tx, placeOf(request), about ?? undefined, sealed),
	);
	const answer = JSON.parse(text.toString()) as Answer;
	return { ...answer, headers: { ...answer.headers, "idempotent-replayed": "true" } };
}

async function executeAndKeep(
	{ db, seal }: IdempotencyParts,
	request: Request,
	execute: () => Promise<Answer>,
): Promise<Answer> {
	const give = (): Promise<void> =>
		db.inTenant(request.scope, async (tx) =>
			tx.post(release, [...keyOf(request), request.claimedAt]),
		);
	let answer: Answer;
	try {
		answer = await execute();
	} catch (error) {
		// When even this fails, the claim lapses by itself after a minute.
		await give().catch(() => undefined);
		throw error;
	}
	if (answer.status >= 400) {
		await give().catch(() => undefined);
		return answer;
	}
	const { about, ...told } = answer;
	await db.inTenant(request.scope, async (tx) => {
		const text = Buffer.from(JSON.stringify(told));
		const sealed = await seal(tx, placeOf(request), about, text);
		const values = [answer.status, sealed, request.claimedAt, about ?? null];
		tx.post(keep, [...keyOf(request), ...values]);
	});
	return answer;
}

function placeOf({ scope, keyHash }: Request): AnswerPlace {
	return { ...scope, table: "idempotency_keys", column: "answer_sealed", row: hex(keyHash) };
}

function hex(bytes: Buffer): string {
	return bytes.toString("hex");
}

function inProgress(): Fault {
	return Fault.of("request_in_progress", { retryAfterSeconds: 1 });
}

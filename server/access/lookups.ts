/**
 * Look-ups of keys in batches: those that arrive within one turn of the event loop, or while earlier ones are
 * under way, share a query. Bounded in keys per query, queries at once, and keys waiting.
 */
import type { Database } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { KeyKind } from "./key-text.ts";
import { type FoundKey, findApiKeys, findOperatorKeys } from "./store.ts";

export interface Lookups {
	/** The stored key, or undefined. Throws Fault rate_limited when too many wait, and what the database throws. */
	find(kind: KeyKind, id: string): Promise<FoundKey | undefined>;
}

const keysPerQueryMax = 500;
const queriesAtOnceMax = 2;
const waitingMax = 10_000;

interface Asked {
	readonly id: string;
	readonly operator: boolean;
	readonly answer: PromiseWithResolvers<FoundKey | undefined>;
}

export function createLookups(db: Pick<Database, "inPlatform">): Lookups {
	/** Not sent yet. Who asks later than a query was sent waits for the next: it may see a revocation. */
	const waiting = new Map<string, Asked>();
	let running = 0;
	let scheduled = false;

	const schedule = (): void => {
		if (scheduled || running >= queriesAtOnceMax) return;
		scheduled = true;
		setImmediate(() => {
			scheduled = false;
			void send();
		});
	};

	const send = async (): Promise<void> => {
		const batch = [...waiting.entries()].slice(0, keysPerQueryMax);
		for (const [name] of batch) waiting.delete(name);
		const asked = batch.map(([, one]) => one);
		running++;
		if (waiting.size > 0) schedule();
		try {
			const found = await findAll(db, asked);
			for (const { id, operator, answer } of asked) answer.resolve(found.get(nameOf(operator, id)));
		} catch (error) {
			for (const { answer } of asked) answer.reject(error);
		} finally {
			running--;
			if (waiting.size > 0) schedule();
		}
	};

	return {
		find(kind, id) {
			const operator = kind === "operator";
			const name = nameOf(operator, id);
			let asked = waiting.get(name);
			if (asked === undefined) {
				if (waiting.size >= waitingMax) throw Fault.of("rate_limited", { retryAfterSeconds: 1 });
				asked = { id, operator, answer: Promise.withResolvers() };
				waiting.set(name, asked);
				schedule();
			}
			return asked.answer.promise;
		},
	};
}

function nameOf(operator: boolean, id: string): string {
	return operator ? `operator/${id}` : id;
}

async function findAll(
	db: Pick<Database, "inPlatform">,
	asked: readonly Asked[],
): Promise<Map<string, FoundKey>> {
	const ids = (operator: boolean): string[] =>
		asked.filter((one) => one.operator === operator).map((one) => one.id);
	const [tenants, operators] = [ids(false), ids(true)];
	const [keys, operatorKeys] = await db.inPlatform((tx) =>
		Promise.all([
			tenants.length > 0 ? findApiKeys(tx, tenants) : [],
			operators.length > 0 ? findOperatorKeys(tx, operators) : [],
		]),
	);
	return new Map([
		...keys.map((key) => [nameOf(false, key.id), key] as const),
		...operatorKeys.map((key) => [nameOf(true, key.id), key] as const),
	]);
}

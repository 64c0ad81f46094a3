/**
 * The ledger's signer as a process of its own: the only one that holds the signing key. Its task comes over the
 * channel to its parent, its environment is empty, and it ends when the channel does. Ctrl-C is its parent's to
 * hear. What it finds it tells its parent; it prints nothing.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { createScrubber, createSigner, hasCheckpoints, SignerStateError } from "#audit/index.ts";
import { systemClock } from "#platform/clock.ts";
import { type DatabaseOptions, openDatabase } from "#platform/db.ts";
import { systemRandom } from "#platform/ids.ts";
import { openSigningKey, SigningKeyError } from "#vault/index.ts";

/** What the parent sends first. */
export interface SignerTask {
	readonly database: DatabaseOptions;
	/** First part of every origin. */
	readonly name: string;
	readonly keyPath: string;
	/** The public key, 64 hexadecimal digits, is written here for whoever pins it. */
	readonly publicKeyPath: string;
	readonly statePath: string;
}

/** What the child sends. */
export type SignerNews =
	| { readonly kind: "ready"; readonly publicKey: string }
	| { readonly kind: "trouble"; readonly ledger: string; readonly why: string }
	/** It goes on trying. */
	| { readonly kind: "failing"; readonly why: string }
	/** It ends: only a person can help. */
	| { readonly kind: "refused"; readonly why: string };

const everyMs = 500;
/** Entries that are looked at again every so often: 2,000 a second. */
const scrubbedEntries = 1_000;

function tell(news: SignerNews): void {
	// A parent that has just gone is told of by `disconnect`; without a callback it would end us with a stack for nobody.
	if (process.connected) process.send?.(news, undefined, undefined, () => undefined);
}

/** What its parent wants of it. */
interface Wishes {
	stopping: boolean;
	/** Ends a pause, if there is one. */
	wake: () => void;
}

async function run(task: SignerTask, wishes: Wishes): Promise<void> {
	const { database, name, keyPath, publicKeyPath, statePath } = task;
	const db = openDatabase(database);
	const signed = existsSync(statePath) || (await db.inPlatform(hasCheckpoints));
	const key = openSigningKey({ path: keyPath, mayCreate: !signed, random: systemRandom() });
	mkdirSync(dirname(publicKeyPath), { recursive: true, mode: 0o700 });
	writeFileSync(publicKeyPath, `${key.publicKey.toString("hex")}\n`);
	const onTrouble = (ledger: string, why: string): void => tell({ kind: "trouble", ledger, why });
	const parts = { db, key, clock: systemClock, name, statePath, onTrouble };
	const signer = createSigner(parts);
	for (const { origin, trouble } of signer.state.values())
		if (trouble !== undefined) tell({ kind: "trouble", ledger: origin, why: trouble });
	const scrubber = createScrubber(parts, signer);
	tell({ kind: "ready", publicKey: key.publicKey.toString("hex") });
	let scrubbedAtMs = systemClock.elapsed();
	for (;;) {
		const last = wishes.stopping;
		try {
			const again = await signer.step();
			if (again && !last) continue;
			const nowMs = systemClock.elapsed();
			if (!last && nowMs - scrubbedAtMs >= everyMs) {
				await scrubber.step(scrubbedEntries);
				scrubbedAtMs = nowMs;
			}
		} catch (error) {
			tell({ kind: "failing", why: (error as Error).message });
		}
		if (last) break;
		await pause(wishes);
	}
	await db.close();
}

/** Until the next look, or until there is something to look at. */
function pause(wishes: Wishes): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, everyMs);
		wishes.wake = () => {
			clearTimeout(timer);
			resolve();
		};
	});
}

/** Every error but those for people is tried again from the start: the database may be on its way. */
async function serve(task: SignerTask, wishes: Wishes): Promise<void> {
	try {
		await run(task, wishes);
		process.exit(0);
	} catch (error) {
		const forPeople = error instanceof SigningKeyError || error instanceof SignerStateError;
		tell({ kind: forPeople ? "refused" : "failing", why: (error as Error).message });
		process.disconnect();
		process.exitCode = 1;
	}
}

if (import.meta.main) {
	const wishes: Wishes = { stopping: false, wake: () => undefined };
	process.on("SIGINT", () => undefined);
	process.on("SIGTERM", () => undefined);
	process.on("disconnect", () => process.exit(1));
	process.on("message", (message: { task?: SignerTask; stop?: true; look?: true }) => {
		if (message.task !== undefined) void serve(message.task, wishes);
		if (message.stop === true) wishes.stopping = true;
		wishes.wake();
	});
}

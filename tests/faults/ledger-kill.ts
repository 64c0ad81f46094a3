/**
 * kill -9 of the signer every half second, and of the process that sequences as often as it can be started again,
 * while acts are recorded: nothing acknowledged is without its entry, and the log is consistent.
 */
import { readFileSync } from "node:fs";
import {
	makeDataDir,
	pause,
	type Product,
	removeDataDir,
	startProduct,
} from "../../bench/product.ts";
import { seededRandom } from "../../server/platform/ids.ts";
import { checkLedger, createActor } from "./ledger-evidence.ts";
import { killAll, treeOf } from "./world.ts";

export interface LedgerKills {
	readonly signers: number;
	readonly products: number;
	readonly acknowledged: number;
	readonly entries: number;
}

const everyMs = 500;
/** Between two kills of the whole process, in kills of the signer. */
const productEvery = 6;

function signersOf(product: Product): number[] {
	return treeOf(product.child.pid as number).filter((pid) => {
		try {
			return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("ledger-signer.ts");
		} catch {
			return false;
		}
	});
}

export async function killLedger({ ms, seed }: { ms: number; seed: number }): Promise<LedgerKills> {
	const random = seededRandom(seed);
	const dataDir = makeDataDir();
	let product = await startProduct({ dataDir });
	const place = () => ({
		baseUrl: product.dev.baseUrl,
		key: (product.dev as unknown as { adminKey: string }).adminKey,
		tenantId: (product.dev as unknown as { tenantId: string }).tenantId,
	});
	const actor = createActor(place);
	let running = true;
	const acting = Promise.all(
		Array.from({ length: 4 }, async () => {
			while (running) await actor.act();
		}),
	);
	const killed = { signers: 0, products: 0 };
	try {
		for (const until = performance.now() + ms; performance.now() < until; ) {
			await pause(everyMs * (0.5 + random.fraction()));
			const signers = signersOf(product);
			await killAll(signers);
			killed.signers += signers.length;
			if (killed.signers % productEvery !== productEvery - 1) continue;
			product.child.kill("SIGKILL");
			await product.end("SIGKILL");
			killed.products++;
			product = await startProduct({ dataDir });
		}
		running = false;
		await acting;
		const { entries } = await checkLedger(dataDir, place(), actor.done);
		return { ...killed, acknowledged: actor.done.length, entries };
	} finally {
		running = false;
		await killAll(treeOf(product.child.pid as number));
		removeDataDir(dataDir);
	}
}

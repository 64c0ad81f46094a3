/**
 * The first operator key of a production installation: without one nobody could make a tenant. Made once,
 * written to a file that only its owner may read; whoever runs the platform takes it away from there.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type AccessParts, createOperatorKey } from "#access/index.ts";
import { type Ledger, systemAudit } from "#audit/index.ts";
import { writeDurably } from "#platform/durable-file.ts";

export async function ensureOperatorKey(
	parts: Pick<AccessParts, "db" | "clock" | "ids" | "random"> & { readonly ledger: Ledger },
	dataDir: string,
	tell: (sentence: string) => void,
): Promise<void> {
	const marker = join(dataDir, "operator.made");
	if (existsSync(marker)) return;
	const path = join(dataDir, "operator.key");
	const { text } = await createOperatorKey(
		parts,
		systemAudit(parts.ledger, "operator_key.created"),
	);
	writeDurably(path, `${text.reveal()}\n`);
	writeDurably(marker, "");
	tell(`The operator's API key is in ${path}. Keep it somewhere safe and delete the file.`);
}

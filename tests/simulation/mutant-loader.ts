/**
 * Loads the simulation, and with it the whole product, with one text of one file changed: a bug planted in the real
 * code. Every mutant has modules of its own; the product on disk and in other tests stays as it is. A mutant whose
 * text is not found exactly once no longer fits the product, and says so.
 */
import { registerHooks } from "node:module";
import type { runSeed } from "./run.ts";

export interface Change {
	/** Below server/. */
	readonly file: string;
	readonly from: string;
	readonly to: string;
}

const changes = new Map<string, Change>();
const root = new URL("../../", import.meta.url).href;
let hooked = false;

/** `runSeed` over the changed product. */
export async function loadMutant(name: string, change: Change): Promise<typeof runSeed> {
	if (!hooked) hook();
	hooked = true;
	changes.set(name, change);
	const run = new URL(`./run.ts?mutant=${encodeURIComponent(name)}`, import.meta.url).href;
	// The name is a mutant's own: the module has no other way in.
	return ((await import(run)) as { runSeed: typeof runSeed }).runSeed;
}

function hook(): void {
	registerHooks({
		/** What a changed module imports belongs to the same mutant. */
		resolve(specifier, context, next) {
			const resolved = next(specifier, context);
			const { search } = new URL(context.parentURL ?? root);
			const isOwn = resolved.url.startsWith(root) && !resolved.url.includes("/node_modules/");
			return search.startsWith("?mutant=") && isOwn
				? { ...resolved, url: resolved.url.split("?")[0] + search }
				: resolved;
		},
		load(url, context, next) {
			const loaded = next(url, context);
			const { search, href } = new URL(url);
			const change = changes.get(decodeURIComponent(search.slice("?mutant=".length)));
			if (change === undefined || href !== `${root}server/${change.file}${search}`) return loaded;
			const pieces = String(loaded.source).split(change.from);
			if (pieces.length !== 2)
				throw new Error(
					`the mutant no longer fits ${change.file}: its text is there ${pieces.length - 1} times`,
				);
			return { ...loaded, source: pieces.join(change.to) };
		},
	});
}

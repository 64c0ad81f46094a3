/**
 * Of a V8 CPU profile, the part between two moments, told by what the time was for. A sample counts for the innermost
 * function on its stack whose file belongs to somebody: system calls and node's own code count for whoever called them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Profile, ProfileNode } from "./profile.ts";

/** By what, microseconds of the profiled thread. */
export interface Shares {
	readonly micros: ReadonlyMap<string, number>;
	readonly busyMicros: number;
	readonly idleMicros: number;
}

/** The first that matches decides. Urls of ours and of packages; node's own have no slash. */
const owners: readonly (readonly [RegExp, string])[] = [
	[/\/server\/vault\//, "crypto (vault)"],
	[/\/server\/policy\//, "policy"],
	[/\/server\/platform\/db|\/node_modules\/pg|store\.ts$/, "SQL protocol (arrays, driver, socket)"],
	[/\/server\/channels\/sms\/smpp\//, "SMPP (codec, session, socket)"],
	[
		/\/server\/platform\/http-(input|json|bodies)|\/server\/messages\/(draft|schemas|render)|\/server\/channels\/|\/node_modules\/(typebox|ajv|fast-json|libphonenumber)/,
		"validation (JSON, draft, segments)",
	],
	[
		/\/server\/(platform\/http|access\/)|\/node_modules\/|^node:_http|^node:internal\/http/,
		"HTTP (framework, keys, socket)",
	],
	[/\/server\/messages\//, "the path's own code"],
	[/\/server\/webhooks\//, "webhooks"],
	[/\/server\//, "facts, ids, metrics and the rest of ours"],
];
const collector = "garbage collector";
const rest = "node itself (event loop, sockets, timers)";

/** `window` in milliseconds of the machine's monotonic clock. */
export function sharesOf(folder: string, window: { from: number; until: number }): Shares {
	const micros = new Map<string, number>();
	let busyMicros = 0;
	let idleMicros = 0;
	for (const file of readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"))) {
		const profile = JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile;
		const names = ownersOf(profile);
		let at = profile.startTime;
		for (const [i, id] of profile.samples.entries()) {
			const took = profile.timeDeltas[i] ?? 0;
			at += took;
			if (at < window.from * 1_000 || at > window.until * 1_000) continue;
			const name = names.get(id);
			if (name === undefined) {
				idleMicros += took;
				continue;
			}
			busyMicros += took;
			micros.set(name, (micros.get(name) ?? 0) + took);
		}
	}
	return { micros, busyMicros, idleMicros };
}

/** By node of the profile; idle ones are not there. */
function ownersOf({ nodes }: Profile): Map<number, string> {
	const byId = new Map(nodes.map((node) => [node.id, node]));
	const parents = new Map(
		nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)),
	);
	const names = new Map<number, string>();
	for (const node of byId.values()) {
		const { functionName } = node.callFrame;
		if (functionName === "(idle)") continue;
		names.set(node.id, functionName === "(garbage collector)" ? collector : ownerOf(node, parents));
	}
	return names;
}

function ownerOf(node: ProfileNode, parents: ReadonlyMap<number, ProfileNode>): string {
	for (let at: ProfileNode | undefined = node; at !== undefined; at = parents.get(at.id)) {
		const { url } = at.callFrame;
		const found = owners.find(([pattern]) => pattern.test(url));
		if (found !== undefined) return found[1];
	}
	return rest;
}

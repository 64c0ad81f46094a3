/** Sums up a V8 CPU profile: which functions the time went into, and which folders. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface ProfileNode {
	readonly id: number;
	readonly callFrame: {
		readonly functionName: string;
		readonly url: string;
		readonly lineNumber: number;
	};
	readonly children?: readonly number[];
}

export interface Profile {
	readonly nodes: readonly ProfileNode[];
	readonly samples: readonly number[];
	readonly timeDeltas: readonly number[];
	/** Microseconds of the machine's monotonic clock. */
	readonly startTime: number;
}

/** Folders of ours or packages, by which time is summed with all that they call below them inside node. */
function ownerOf(url: string): string | undefined {
	const modules = url.lastIndexOf("/node_modules/");
	if (modules >= 0) return /^\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url.slice(modules))?.[1];
	return /\/(server\/[^/]+)\//.exec(url)?.[1];
}

function placeOf({ functionName, url, lineNumber }: ProfileNode["callFrame"]): string {
	const short = url.replace(/^file:\/\//, "").replace(/^.*\/(server|node_modules)\//, "$1/");
	return `${functionName === "" ? "(anonymous)" : functionName}  ${short === "" ? "" : `${short}:${lineNumber + 1}`}`;
}

export function profileTable(folder: string, most: number): string {
	const files = readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"));
	const self = new Map<string, number>();
	const owners = new Map<string, number>();
	const below = new Map<string, number>();
	let total = 0;
	let idle = 0;
	for (const file of files) {
		const { nodes, samples, timeDeltas } = JSON.parse(
			readFileSync(join(folder, file), "utf8"),
		) as Profile;
		const byId = new Map(nodes.map((node) => [node.id, node]));
		const parents = new Map(
			nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)),
		);
		const owner = (id: number): string => {
			for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
				const found = ownerOf(byId.get(at)?.callFrame.url ?? "");
				if (found !== undefined) return found;
			}
			return byId.get(id)?.callFrame.functionName === "(garbage collector)"
				? "(garbage collector)"
				: "node";
		};
		/** Functions of ours and of packages on the way from the root, each once. */
		const path = (id: number): ReadonlySet<string> => {
			const names = new Set<string>();
			for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
				const frame = byId.get(at)?.callFrame;
				if (frame !== undefined && ownerOf(frame.url) !== undefined) names.add(placeOf(frame));
			}
			return names;
		};
		for (const [i, id] of samples.entries()) {
			const micros = timeDeltas[i] ?? 0;
			const node = byId.get(id) as ProfileNode;
			if (node.callFrame.functionName === "(idle)") {
				idle += micros;
				continue;
			}
			total += micros;
			add(self, placeOf(node.callFrame), micros);
			add(owners, owner(id), micros);
			for (const name of path(id)) add(below, name, micros);
		}
	}
	const table = (sums: ReadonlyMap<string, number>): string[] =>
		[...sums]
			.sort((a, b) => b[1] - a[1])
			.slice(0, most)
			.map(
				([name, micros]) =>
					`${((micros / total) * 100).toFixed(1).padStart(6)} %  ${(micros / 1e6).toFixed(2).padStart(6)} s  ${name}`,
			);
	return [
		`CPU profile: busy ${(total / 1e6).toFixed(1)} s, idle ${(idle / 1e6).toFixed(1)} s (the whole life of the process; profiles in ${folder})`,
		"",
		"By function with all it calls:",
		...table(below),
		"",
		"By owner (node's own code counts for whoever called it):",
		...table(owners),
		"",
		"By function, self time:",
		...table(self),
	].join("\n");
}

function add(sums: Map<string, number>, name: string, micros: number): void {
	sums.set(name, (sums.get(name) ?? 0) + micros);
}

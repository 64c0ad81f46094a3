/** What every measurement says of the machine, and where it keeps its history. */
import { appendFileSync, mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import type { Meter } from "./meter.ts";

export function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

export interface Machine {
	readonly cores: number;
	readonly cpu: string;
	readonly node: string;
	readonly postgres: string;
	readonly fsync: string;
}

/** Prints the machine and returns it. */
export async function describeMachine(meter: Meter): Promise<Machine> {
	const machine = {
		cores: cpus().length,
		cpu: cpus()[0]?.model.trim() ?? "",
		node: process.version,
		postgres: await meter.version(),
		fsync: await meter.fsync(),
	};
	const { cores, cpu, node, postgres, fsync } = machine;
	print(`${cores} cores (${cpu}), node ${node}, PostgreSQL ${postgres}, fsync ${fsync}`);
	return machine;
}

/** Appends one line to bench/results/NAME.jsonl. */
export function record(name: string, figures: object): void {
	const folder = fileURLToPath(new URL("results/", import.meta.url));
	mkdirSync(folder, { recursive: true });
	const line = { date: new Date().toISOString(), bench: name, ...figures };
	appendFileSync(`${folder}${name}.jsonl`, `${JSON.stringify(line)}\n`);
}

export function medianOf(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

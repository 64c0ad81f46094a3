/**
 * The ledger's attacks in their long form, each as a test run of its own: every bit of so many bytes, as many clean runs,
 * ten times as many mutated proofs, and each kind of rewriting forty times per thousand.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export function flipLedger(bytes: number, seed: number): Promise<object> {
	return runFile("ledger-flips", bytes, seed);
}

export function rewriteLedger(rounds: number, seed: number): Promise<object> {
	return runFile("ledger-attacks", rounds, seed);
}

export function leaveLedger(runs: number, seed: number): Promise<object> {
	return runFile("ledger-clean", runs, seed);
}

export function mutateProofs(mutants: number, seed: number): Promise<object> {
	return runFile("ledger-proofs", mutants, seed);
}

/** kill -9 of sequencer and signer, each alone. */
export function killParts(seconds: number, seed: number): Promise<object> {
	return runFile("ledger-kill-parts", seconds, seed);
}

/** All four, in the measure of one number. */
export async function attackLedger(n: number, seed: number): Promise<object> {
	return {
		flips: await flipLedger(n, seed),
		attacks: await rewriteLedger(Math.ceil(n / 25), seed),
		clean: await leaveLedger(n, seed),
		proofs: await mutateProofs(10 * n, seed),
	};
}

async function runFile(name: string, times: number, seed: number): Promise<object> {
	const env = {
		...process.env,
		WAXWING_TEST_LEDGER_TIMES: String(times),
		WAXWING_TEST_LEDGER_SEED: String(seed),
		WAXWING_TEST_TIMEOUT_MS: "3600000",
	};
	const child = spawn(process.execPath, ["tools/test.ts", `tests/faults/${name}.test.ts`], {
		cwd: root,
		env,
		stdio: ["ignore", "pipe", "inherit"],
	});
	let output = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => void (output += text));
	const status = await new Promise<number | null>((resolve) => void child.once("exit", resolve));
	if (status !== 0) throw new Error(output);
	const count = (word: string): number =>
		Number(new RegExp(`^ℹ ${word} (\\d+)`, "m").exec(output)?.[1]);
	if (count("pass") === 0 || count("skipped") > 0) throw new Error(`${name} did not run`);
	return { found: /^ℹ (\d+ .*(?:found|alarms|accepted).*)$/m.exec(output)?.[1] };
}

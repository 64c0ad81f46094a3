/** The attacks of ledger-attacks.test.ts in their long form: every bit of so many bytes, as many clean runs. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export async function attackLedger(bytes: number, seed: number): Promise<object> {
	const env = {
		...process.env,
		WAXWING_TEST_LEDGER_BYTES: String(bytes),
		WAXWING_TEST_LEDGER_SEED: String(seed),
	};
	const args = ["tools/test.ts", "tests/faults/ledger-attacks.test.ts"];
	const child = spawn(process.execPath, args, {
		cwd: root,
		env,
		stdio: ["ignore", "pipe", "inherit"],
	});
	let output = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => void (output += text));
	const status = await new Promise<number | null>((resolve) => void child.once("exit", resolve));
	const count = (word: string): number =>
		Number(new RegExp(`^ℹ ${word} (\\d+)`, "m").exec(output)?.[1]);
	if (status !== 0) throw new Error(output);
	return {
		bytes,
		passed: count("pass"),
		failed: count("fail"),
		found: /ℹ (\d+ flips .*)/.exec(output)?.[1],
	};
}
